//! The settings of who may do what.

use secrecy::{ExposeSecret, SecretString};

use super::secret::{self, ADMIN_TOKEN, JWT_KEY, SERVER_TOKEN};
use super::source::Source;
use super::{ConfigError, ServerConfig};
use crate::guard::Policy;
use crate::guard::address::TrustedProxies;
use crate::guard::identity::{self, Tokens};
use crate::guard::origin::{AllowedOrigins, Origins};
use crate::guard::rate::Rates;

/// The shortest key of HS256, in bytes (RFC 7518, 3.2).
const MIN_JWT_KEY: usize = 32;

/// The shortest token that is not warned of, in characters.
const MIN_TOKEN: usize = 16;

pub(super) fn policy(source: &mut Source, server: &ServerConfig) -> Result<Policy, ConfigError> {
    let tokens = tokens(source)?;
    let insecure = source.switch("SESSIOND_INSECURE")?;
    if tokens.are_unset() && !insecure && !server.is_loopback() {
        return Err(open_to_the_world(source, &server.host));
    }
    let only_local_names =
        (tokens.are_unset() && server.is_loopback()).then(|| server.host.clone());
    Ok(Policy {
        tokens,
        origins: Origins {
            allowed: allowed_origins(source, server)?,
            only_local_names,
        },
        proxies: trusted_proxies(source)?,
        rates: Rates {
            creates: source.limit("RATE_LIMIT_CREATES_PER_MINUTE")?,
            messages: source.limit("RATE_LIMIT_MESSAGES_PER_MINUTE")?,
        },
    })
}

fn open_to_the_world(source: &Source, host: &str) -> ConfigError {
    // Without random numbers there is none to suggest.
    let example = identity::random_token().map_or_else(
        |_| " ".to_owned(),
        |token| {
            format!(
                ", for example to this one, which was made just now:\n\n    \
                 ELIZA_SERVER_AUTH_TOKEN={token}\n\n"
            )
        },
    );
    let secrets = [SERVER_TOKEN, ADMIN_TOKEN, JWT_KEY].into_iter();
    let blanks = secrets.flat_map(|secret| secret::blanks(source, secret));
    let blanks: String = blanks.map(|blank| blank + ". ").collect();
    ConfigError::new(format!(
        "{blanks}SERVER_HOST is {host:?}, which other machines can reach, and no authentication is \
         configured: anyone on the network could read every conversation. Set \
         ELIZA_SERVER_AUTH_TOKEN (or SESSIOND_ADMIN_TOKEN, or JWT_SECRET) to a secret{example}or \
         set SESSIOND_INSECURE=true if something else guards this address"
    ))
}

fn tokens(source: &mut Source) -> Result<Tokens, ConfigError> {
    let tokens = Tokens {
        server: secret::token(source, SERVER_TOKEN)?,
        admin: secret::token(source, ADMIN_TOKEN)?,
        jwt: secret::key(source, JWT_KEY)?,
    };
    for warning in warnings(&tokens) {
        source.warn(warning);
    }
    Ok(tokens)
}

/// What is not as it should be with tokens that will do.
fn warnings(tokens: &Tokens) -> Vec<String> {
    let [server_token, admin_token, jwt_key] =
        [SERVER_TOKEN, ADMIN_TOKEN, JWT_KEY].map(|it| it.name);
    let mut warnings = Vec::new();
    for (name, token) in [(server_token, &tokens.server), (admin_token, &tokens.admin)] {
        let length = |token: &SecretString| token.expose_secret().chars().count();
        if token.as_ref().is_some_and(|it| length(it) < MIN_TOKEN) {
            warnings.push(format!(
                "{name} is shorter than {MIN_TOKEN} characters, and can be guessed; `sessiond \
                 token` prints a good one"
            ));
        }
    }
    let is_short = |key: &SecretString| key.expose_secret().len() < MIN_JWT_KEY;
    if tokens.jwt.as_ref().is_some_and(is_short) {
        warnings.push(format!(
            "{jwt_key} is shorter than the {MIN_JWT_KEY} bytes that HS256 asks for (RFC 7518): \
             whoever has one token can try to guess it"
        ));
    }
    if tokens.jwt.is_some() && tokens.admin.is_none() {
        warnings.push(format!(
            "{jwt_key} is set and {admin_token} is not: nobody can list all sessions, make a \
             backup or an export of the running server, or read its figures; set {admin_token} \
             for that, to what `sessiond token` prints"
        ));
    }
    let [admin, server] = [&tokens.admin, &tokens.server]
        .map(|token| token.as_ref().map(ExposeSecret::expose_secret));
    if admin.is_some() && admin == server {
        warnings.push(format!(
            "{admin_token} is the same as {server_token}: everybody who has it is an admin"
        ));
    }
    warnings
}

fn allowed_origins(source: &Source, server: &ServerConfig) -> Result<AllowedOrigins, ConfigError> {
    let Some(list) = source.text("CORS_ORIGIN") else {
        return Ok(if server.is_loopback() {
            AllowedOrigins::Loopback
        } else {
            AllowedOrigins::None
        });
    };
    AllowedOrigins::parse(list).map_err(|part| {
        if part == "*" {
            return ConfigError::new(format!(
                "CORS_ORIGIN is {list:?}; * allows every origin, and so it stands alone: leave it \
                 or the others out"
            ));
        }
        let allowed = "a comma-separated list of origins such as https://chat.example, or *";
        ConfigError::unreadable("CORS_ORIGIN", part, allowed)
    })
}

fn trusted_proxies(source: &Source) -> Result<TrustedProxies, ConfigError> {
    let list = source.text("TRUSTED_PROXIES").unwrap_or_default();
    TrustedProxies::parse(list).map_err(|part| {
        let allowed = "a comma-separated list of networks such as 10.0.0.0/8, or of addresses";
        ConfigError::unreadable("TRUSTED_PROXIES", part, allowed)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, read};
    use super::*;

    #[test]
    fn the_world_is_not_listened_to_without_a_token() {
        assert!(error(&[("SERVER_HOST", "0.0.0.0")]).contains("ELIZA_SERVER_AUTH_TOKEN"));
        assert!(error(&[("SERVER_HOST", "::")]).contains("SESSIOND_INSECURE"));
        assert!(read(&[("SERVER_HOST", "0.0.0.0"), ("ELIZA_SERVER_AUTH_TOKEN", "t")]).is_ok());
        assert!(read(&[("SERVER_HOST", "0.0.0.0"), ("SESSIOND_INSECURE", "1")]).is_ok());
        for loopback in ["127.0.0.2", "::1", "[::1]", "localhost"] {
            assert!(read(&[("SERVER_HOST", loopback)]).is_ok(), "{loopback}");
        }
    }

    #[test]
    fn any_of_the_tokens_will_do_for_the_world() {
        for name in [
            "ELIZA_SERVER_AUTH_TOKEN",
            "SESSIOND_ADMIN_TOKEN",
            "JWT_SECRET",
        ] {
            assert!(
                read(&[("SERVER_HOST", "0.0.0.0"), (name, "t")]).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_refusal_shows_a_fresh_token_to_copy() {
        let token = || {
            let refused = error(&[("SERVER_HOST", "0.0.0.0")]);
            let (_, token) = refused.split_once("ELIZA_SERVER_AUTH_TOKEN=").unwrap();
            token.split_whitespace().next().unwrap().to_owned()
        };
        let first = token();
        assert!(first.len() >= 64 && first.chars().all(|it| it.is_ascii_hexdigit()));
        assert_ne!(first, token());
    }

    #[test]
    fn a_local_server_without_tokens_answers_to_local_names_alone() {
        let names = |values| read(values).unwrap().guard.origins.only_local_names;
        assert_eq!(names(&[]).as_deref(), Some("127.0.0.1"));
        assert_eq!(
            names(&[("SERVER_HOST", "localhost")]).as_deref(),
            Some("localhost")
        );
        assert_eq!(names(&[("JWT_SECRET", "t")]), None);
        assert_eq!(
            names(&[("SERVER_HOST", "0.0.0.0"), ("SESSIOND_INSECURE", "1")]),
            None
        );
    }

    #[test]
    fn pages_of_this_machine_may_call_a_local_server_unless_others_are_named() {
        let allowed = |values| read(values).unwrap().guard.origins.allowed;
        assert_eq!(allowed(&[]), AllowedOrigins::Loopback);
        assert_eq!(allowed(&[("CORS_ORIGIN", "*")]), AllowedOrigins::Any);
        let world = [("SERVER_HOST", "0.0.0.0"), ("SESSIOND_INSECURE", "1")];
        assert_eq!(allowed(&world), AllowedOrigins::None);
        assert_eq!(
            error(&[("CORS_ORIGIN", "https://a.example, b.example")]),
            "CORS_ORIGIN is \"b.example\"; allowed is a comma-separated list of origins such as \
             https://chat.example, or *"
        );
        for list in ["*, https://a.example", "https://a.example,*"] {
            assert!(error(&[("CORS_ORIGIN", list)]).contains("so it stands alone"));
        }
        assert!(error(&[("TRUSTED_PROXIES", "10.0.0.0/40")]).contains("10.0.0.0/8"));
    }

    #[test]
    fn weak_secrets_are_warned_of() {
        let key = "a key of thirty-two bytes and more";
        let admin = ("SESSIOND_ADMIN_TOKEN", "sixteen letters!");
        for (values, warned) in [
            (
                vec![("JWT_SECRET", "short"), admin],
                vec!["that HS256 asks for"],
            ),
            (vec![("JWT_SECRET", key), admin], vec![]),
            (
                vec![("JWT_SECRET", key)],
                vec!["JWT_SECRET is set and SESSIOND_ADMIN_TOKEN is not"],
            ),
            (
                vec![admin, ("ELIZA_SERVER_AUTH_TOKEN", admin.1)],
                vec!["everybody who has it is an admin"],
            ),
            (
                vec![("ELIZA_SERVER_AUTH_TOKEN", "fifteen letters")],
                vec!["ELIZA_SERVER_AUTH_TOKEN is shorter than 16 characters"],
            ),
            (
                vec![("SESSIOND_ADMIN_TOKEN", "x")],
                vec!["SESSIOND_ADMIN_TOKEN is shorter than 16 characters"],
            ),
        ] {
            let warnings = read(&values).unwrap().warnings;
            assert_eq!(warnings.len(), warned.len(), "{values:?}: {warnings:?}");
            for (warning, warned) in warnings.iter().zip(warned) {
                assert!(warning.contains(warned), "{warning}");
            }
        }
    }
}
