//! Who calls.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::jwt::{JwtVerifier, Rejected};
use crate::clock::Clock;
use crate::domain::id::UserId;

/// The secrets that say who calls. Where there is none, everybody may do everything.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// The server's token.
    pub server: Option<SecretString>,
    /// The admins' token.
    pub admin: Option<SecretString>,
    /// The key that users' JSON Web Tokens are signed with.
    pub jwt: Option<SecretString>,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// Nobody in particular, where nobody is asked.
    Anonymous,
    /// Whoever has the server's token.
    Server,
    /// A user with a JSON Web Token of its own.
    User(UserId),
    /// Whoever has the admins' token.
    Admin,
}

/// What a call brings to say who it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A token.
    key: Option<&'a [u8]>,
    /// A token or a JSON Web Token.
    bearer: Option<&'a [u8]>,
}

/// Why a call is not known; for the log, and no more than that it is unauthorized for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// It brought nothing.
    #[error("no credentials")]
    Missing,
    /// It brought a token that is none of the server's.
    #[error("an unknown token")]
    UnknownToken,
    /// It brought a JSON Web Token that is not valid.
    #[error("a JWT that {0}")]
    InvalidJwt(Rejected),
}

/// Whom the server knows.
#[derive(Debug)]
pub(super) struct Identities {
    server: Option<Digest>,
    admin: Option<Digest>,
    jwt: Option<JwtVerifier>,
    clock: Clock,
}

/// A token's hash. Both sides are hashed before they are compared, so that neither the time nor
/// the length of a guess says anything.
#[derive(Clone)]
struct Digest([u8; 32]);

/// A fresh token that nobody can guess: 32 random bytes in hex.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes
        .iter()
        .fold(String::new(), |token, byte| format!("{token}{byte:02x}")))
}

impl Tokens {
    /// Whether there is none at all.
    #[must_use]
    pub fn are_unset(&self) -> bool {
        self.server.is_none() && self.admin.is_none() && self.jwt.is_none()
    }
}

impl<'a> Credentials<'a> {
    /// What the headers of a request bring.
    #[must_use]
    pub fn of_headers(headers: &'a HeaderMap) -> Self {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, sent) = value.as_bytes().split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| sent.trim_ascii())
        });
        Self {
            key: headers.get("x-api-key").map(HeaderValue::as_bytes),
            bearer,
        }
    }

    /// The same, but for what was brought by other means, which comes first.
    #[must_use]
    pub fn or_rather(self, key: Option<&'a str>, bearer: Option<&'a str>) -> Self {
        Self {
            key: key.map(str::as_bytes).or(self.key),
            bearer: bearer.map(str::as_bytes).or(self.bearer),
        }
    }
}

impl Principal {
    /// The user, where the caller is one and is confined to its own.
    #[must_use]
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::User(user) => Some(user),
            Self::Anonymous | Self::Server | Self::Admin => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Server => f.write_str("server"),
            Self::User(user) => write!(f, "user {user}"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

impl Identities {
    pub(super) fn new(tokens: &Tokens, clock: Clock) -> Self {
        Self {
            server: tokens.server.as_ref().map(Digest::of_secret),
            admin: tokens.admin.as_ref().map(Digest::of_secret),
            jwt: tokens.jwt.as_ref().map(JwtVerifier::new),
            clock,
        }
    }

    /// Whether admins are told apart from the server's token.
    pub(super) fn has_admins(&self) -> bool {
        self.admin.is_some() || self.jwt.is_some()
    }

    /// Whether anybody is asked who they are.
    pub(super) fn ask(&self) -> bool {
        self.server.is_some() || self.has_admins()
    }

    pub(super) fn identify(
        &self,
        credentials: &Credentials<'_>,
    ) -> Result<Principal, Unauthorized> {
        if !self.ask() {
            return Ok(Principal::Anonymous);
        }
        let of_token = |token: &[u8]| self.by_token(token);
        let by_token = credentials.key.and_then(of_token);
        if let Some(caller) = by_token.or_else(|| credentials.bearer.and_then(of_token)) {
            return Ok(caller);
        }
        match (&self.jwt, credentials.bearer, credentials.key) {
            (Some(jwt), Some(bearer), _) => jwt
                .verify(bearer, self.clock.now())
                .map(Principal::User)
                .map_err(Unauthorized::InvalidJwt),
            (None, Some(_), _) | (_, None, Some(_)) => Err(Unauthorized::UnknownToken),
            (_, None, None) => Err(Unauthorized::Missing),
        }
    }

    fn by_token(&self, token: &[u8]) -> Option<Principal> {
        let sent = Digest::of(token);
        // Both are compared whatever the first comparison says.
        let is_admin = self.admin.as_ref().is_some_and(|admin| *admin == sent);
        let is_server = self.server.as_ref().is_some_and(|server| *server == sent);
        match (is_admin, is_server) {
            (true, _) => Some(Principal::Admin),
            (false, true) => Some(Principal::Server),
            (false, false) => None,
        }
    }
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    fn of_secret(secret: &SecretString) -> Self {
        Self::of(secret.expose_secret().as_bytes())
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_another_one_of_32_bytes() {
        let [one, two] = [random_token().unwrap(), random_token().unwrap()];
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
