//! The settings of authentication and access.

use secrecy::{ExposeSecret, SecretString};

use super::declaration::AccessSettings;
use super::error::ConfigError;
use super::layers::Layers;
use super::secret::{self, ADMIN_TOKEN, JWT_KEY, SERVER_TOKEN, Secrets};
use super::values::Names;
use crate::auth::Policy;
use crate::auth::claims::ClaimRules;
use crate::auth::identity::{self, Tokens};
use crate::auth::origin::{AllowedOrigins, Origins};
use crate::auth::rate::Rates;

pub(super) const ISSUER: &str = "JWT_ISSUER";
pub(super) const ISSUER_WHITELIST: &str = "JWT_ISSUER_WHITELIST";
const AUDIENCE: &str = "JWT_AUDIENCE";

/// The shortest key of HS256, in bytes (RFC 7518, 3.2).
const MIN_JWT_KEY: usize = 32;

/// The shortest token without a warning, in characters.
const MIN_TOKEN: usize = 16;

/// Returns the policy of a server, whose host is `local_host` if only this machine can reach it.
pub(super) fn policy(
    access: AccessSettings,
    local_host: Option<&str>,
    layers: &Layers,
    warnings: &mut Vec<String>,
) -> Result<Policy, ConfigError> {
    let mut secrets = Secrets { layers, warnings };
    let server = (
        access.eliza_server_auth_token,
        access.eliza_server_auth_token_file,
    );
    let admin = (
        access.sessiond_admin_token,
        access.sessiond_admin_token_file,
    );
    let tokens = Tokens {
        server: secrets.token(SERVER_TOKEN, server)?,
        admin: secrets.token(ADMIN_TOKEN, admin)?,
        jwt: secrets.key(JWT_KEY, (access.jwt_secret, access.jwt_secret_file))?,
    };
    let issuers = issuers(access.jwt_issuer, access.jwt_issuer_whitelist, layers)?;
    let audiences = access.jwt_audience;
    if tokens.jwt.is_none() {
        refuse_without_key(layers)?;
    }
    warnings.extend(weaknesses(&tokens, layers));
    if tokens.are_unset() && !access.sessiond_insecure && local_host.is_none() {
        return Err(unprotected(layers));
    }
    let only_local_names = local_host.filter(|_| tokens.are_unset()).map(str::to_owned);
    let default_origins = match local_host {
        Some(_) => AllowedOrigins::Loopback,
        None => AllowedOrigins::None,
    };
    Ok(Policy {
        tokens,
        claims: ClaimRules {
            issuers: issuers.map_or(Vec::new(), |Names(names)| names),
            audiences: audiences.map_or(Vec::new(), |Names(names)| names),
            subject: access.jwt_subject,
        },
        origins: Origins {
            allowed: access.cors_origin.unwrap_or(default_origins),
            only_local_names,
        },
        proxies: access.trusted_proxies.unwrap_or_default(),
        rates: Rates {
            creates: access.rate_limit_creates_per_minute.value,
            messages: access.rate_limit_messages_per_minute.value,
        },
    })
}

/// Returns the accepted issuers, which have a setting with two names.
fn issuers(
    issuer: Option<Names>,
    whitelist: Option<Names>,
    layers: &Layers,
) -> Result<Option<Names>, ConfigError> {
    match (issuer, whitelist) {
        (Some(_), Some(_)) => Err(ConfigError(format!(
            "{} and {}, which is another name of it, are both set; leave one of them out",
            layers.placed(ISSUER),
            layers.placed(ISSUER_WHITELIST)
        ))),
        (issuer, whitelist) => Ok(issuer.or(whitelist)),
    }
}

/// Refuses rules for tokens while no token is accepted, since those who set them rely on them.
fn refuse_without_key(layers: &Layers) -> Result<(), ConfigError> {
    let names = [ISSUER, ISSUER_WHITELIST, AUDIENCE];
    match names.iter().find(|name| layers.get(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(ConfigError(format!(
            "{} is set, but {JWT_KEY} is not, so that no JSON Web Token is accepted; set \
             {JWT_KEY} (or {JWT_KEY}_FILE) too, or leave {name} out",
            layers.shown(name)
        ))),
    }
}

/// Returns the error of a public address without authentication.
fn unprotected(layers: &Layers) -> ConfigError {
    // Without random numbers there is no token to suggest.
    let example = identity::random_token().map_or(" ".to_owned(), |token| {
        format!(
            ", for example to this one, which was generated just now:\n\n    \
             {SERVER_TOKEN}={token}\n\n"
        )
    });
    let secrets = [SERVER_TOKEN, ADMIN_TOKEN, JWT_KEY].into_iter();
    let blanks = secrets.flat_map(|secret| secret::blanks(layers, secret));
    let blanks: String = blanks.map(|blank| blank + ". ").collect();
    ConfigError(format!(
        "{blanks}{} can be reached by other machines, and no authentication is configured: anyone \
         on the network could read every conversation. Set {SERVER_TOKEN} (or {ADMIN_TOKEN}, or \
         {JWT_KEY}) to a secret{example}or set SESSIOND_INSECURE=true if something else guards \
         this address",
        layers.shown("SERVER_HOST")
    ))
}

/// Returns a warning about a key that is valid but weak, which `name` names.
#[must_use]
pub fn weak_jwt_key(key: &SecretString, name: &str) -> Option<String> {
    let is_weak = key.expose_secret().len() < MIN_JWT_KEY;
    is_weak.then(|| {
        format!(
            "{name} is shorter than the {MIN_JWT_KEY} bytes that HS256 requires (RFC 7518): anyone \
             who has a token can try to guess it; `sessiond token` prints a good one"
        )
    })
}

/// Returns warnings about valid but weak secrets.
fn weaknesses(tokens: &Tokens, layers: &Layers) -> Vec<String> {
    let [server, admin, jwt] = [&tokens.server, &tokens.admin, &tokens.jwt]
        .map(|token| token.as_ref().map(ExposeSecret::expose_secret));
    let mut warnings = Vec::new();
    for (name, token) in [(SERVER_TOKEN, server), (ADMIN_TOKEN, admin)] {
        if token.is_some_and(|token| token.chars().count() < MIN_TOKEN) {
            warnings.push(format!(
                "{} is shorter than {MIN_TOKEN} characters and can be guessed; `sessiond token` \
                 prints a good one",
                secret::placed(layers, name)
            ));
        }
    }
    if let Some(key) = &tokens.jwt {
        warnings.extend(weak_jwt_key(key, &secret::placed(layers, JWT_KEY)));
    }
    if jwt.is_some() && admin.is_none() {
        warnings.push(format!(
            "{JWT_KEY} is set and {ADMIN_TOKEN} is not: no client on the network can list all \
             sessions, read the metrics or use the other admin endpoints, only commands on this \
             machine can; to allow it, set {ADMIN_TOKEN} to what `sessiond token` prints"
        ));
    }
    if admin.is_some() && admin == server {
        warnings.push(format!(
            "{ADMIN_TOKEN} is the same as {SERVER_TOKEN}: everyone who has it is an admin"
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, read};
    use super::*;

    #[test]
    fn a_public_address_requires_a_token() {
        assert!(error(&[("SERVER_HOST", "0.0.0.0")]).contains("ELIZA_SERVER_AUTH_TOKEN"));
        assert!(error(&[("SERVER_HOST", "::")]).contains("SESSIOND_INSECURE"));
        assert!(read(&[("SERVER_HOST", "0.0.0.0"), ("ELIZA_SERVER_AUTH_TOKEN", "t")]).is_ok());
        assert!(read(&[("SERVER_HOST", "0.0.0.0"), ("SESSIOND_INSECURE", "1")]).is_ok());
        for loopback in ["127.0.0.2", "::1", "[::1]", "localhost"] {
            assert!(read(&[("SERVER_HOST", loopback)]).is_ok(), "{loopback}");
        }
    }

    #[test]
    fn any_token_is_enough_for_a_public_address() {
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
    fn the_error_offers_a_random_token() {
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
    fn a_local_server_without_tokens_only_answers_to_local_names() {
        let names = |values| read(values).unwrap().auth.origins.only_local_names;
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
    fn pages_of_this_machine_may_call_a_local_server_unless_origins_are_set() {
        let allowed = |values| read(values).unwrap().auth.origins.allowed;
        assert_eq!(allowed(&[]), AllowedOrigins::Loopback);
        assert_eq!(allowed(&[("CORS_ORIGIN", "*")]), AllowedOrigins::Any);
        let world = [("SERVER_HOST", "0.0.0.0"), ("SESSIOND_INSECURE", "1")];
        assert_eq!(allowed(&world), AllowedOrigins::None);
        assert_eq!(
            error(&[("CORS_ORIGIN", "https://a.example, b.example")]),
            "invalid CORS_ORIGIN \"https://a.example, b.example\" (environment): \"b.example\" is \
             not an origin; expected a comma-separated list of origins such as \
             https://chat.example, or \"*\""
        );
        for list in ["*, https://a.example", "https://a.example,*"] {
            assert!(error(&[("CORS_ORIGIN", list)]).contains("allows every origin"));
        }
        assert!(error(&[("TRUSTED_PROXIES", "10.0.0.0/40")]).contains("10.0.0.0/8"));
    }

    #[test]
    fn the_accepted_claims_of_tokens_are_settings() {
        use crate::auth::claims::SubjectRule::{Auto, Derive, Uuid};
        let key = ("JWT_SECRET", "a key of thirty-two bytes and more");
        let claims = |more: &[(&'static str, &'static str)]| {
            read(&[&[key], more].concat()).unwrap().auth.claims
        };
        let all = claims(&[]);
        assert!(all.issuers.is_empty() && all.audiences.is_empty());
        assert_eq!(all.subject, Auto);
        let some = claims(&[
            ("JWT_ISSUER", " https://a.example , b,"),
            ("JWT_AUDIENCE", "chat"),
            ("JWT_SUBJECT", "derive"),
        ]);
        assert_eq!(some.issuers, ["https://a.example", "b"]);
        assert_eq!(some.audiences, ["chat"]);
        assert_eq!(some.subject, Derive);
        let other_name = claims(&[("JWT_ISSUER_WHITELIST", "a,b"), ("JWT_SUBJECT", "uuid")]);
        assert_eq!(other_name.issuers, ["a", "b"]);
        assert_eq!(other_name.subject, Uuid);
        assert!(claims(&[("JWT_ISSUER", " ")]).issuers.is_empty());

        let refused = |more: &[(&'static str, &'static str)]| error(&[&[key], more].concat());
        assert_eq!(
            refused(&[("JWT_SUBJECT", "sub")]),
            r#"invalid JWT_SUBJECT "sub" (environment): expected "auto", "uuid" or "derive""#
        );
        for name in ["JWT_ISSUER", "JWT_ISSUER_WHITELIST", "JWT_AUDIENCE"] {
            let message = refused(&[(name, " , ")]);
            assert!(message.contains("at least one name"), "{message}");
            let message = error(&[(name, "a")]);
            let start = format!(r#"{name} "a" (environment) is set, but JWT_SECRET is not"#);
            assert!(message.starts_with(&start), "{message}");
        }
        assert_eq!(
            refused(&[("JWT_ISSUER", "a"), ("JWT_ISSUER_WHITELIST", "a")]),
            "JWT_ISSUER (environment) and JWT_ISSUER_WHITELIST (environment), which is another \
             name of it, are both set; leave one of them out"
        );
    }

    #[test]
    fn weak_secrets_are_warned_about() {
        let key = "a key of thirty-two bytes and more";
        let admin = ("SESSIOND_ADMIN_TOKEN", "sixteen letters!");
        for (values, warned) in [
            (
                vec![("JWT_SECRET", "short"), admin],
                vec!["that HS256 requires"],
            ),
            (vec![("JWT_SECRET", key), admin], vec![]),
            (
                vec![("JWT_SECRET", key)],
                vec!["JWT_SECRET is set and SESSIOND_ADMIN_TOKEN is not"],
            ),
            (
                vec![admin, ("ELIZA_SERVER_AUTH_TOKEN", admin.1)],
                vec!["everyone who has it is an admin"],
            ),
            (
                vec![("ELIZA_SERVER_AUTH_TOKEN", "fifteen letters")],
                vec!["ELIZA_SERVER_AUTH_TOKEN (environment) is shorter than 16 characters"],
            ),
            (
                vec![("SESSIOND_ADMIN_TOKEN", "x")],
                vec!["SESSIOND_ADMIN_TOKEN (environment) is shorter than 16 characters"],
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
