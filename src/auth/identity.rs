//! Clients and their credentials.

use std::fmt;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;

use super::claims::InvalidJwt;
use crate::domain::id::UserId;

/// The secrets that identify clients. If none is set, every client may do everything.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// The server token.
    pub server: Option<SecretString>,
    /// The admin token.
    pub admin: Option<SecretString>,
    /// The key that signs users' JSON Web Tokens.
    pub jwt: Option<SecretString>,
}

/// The identity of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// Any client, while no authentication is configured.
    Anonymous,
    /// A client with the server token.
    Server,
    /// A user with a JSON Web Token.
    User(UserId),
    /// A client with the admin token.
    Admin,
}

/// The client that makes a call.
#[derive(Debug, Clone, Copy)]
pub struct ClientContext {
    /// Its identity.
    pub principal: Principal,
    /// Its trusted address. `None` over the Unix socket, which has no rate limits.
    pub address: Option<IpAddr>,
}

/// The credentials of a call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A token.
    pub(super) key: Option<&'a [u8]>,
    /// A token or a JSON Web Token.
    pub(super) bearer: Option<&'a [u8]>,
}

/// Why a client is not identified. Only the log contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// There are no credentials.
    #[error("no credentials")]
    Missing,
    /// The token is neither the server token nor the admin token.
    #[error("an unknown token")]
    UnknownToken,
    /// The JSON Web Token is invalid.
    #[error("a JWT that {0}")]
    InvalidJwt(InvalidJwt),
}

/// Returns a new token: 32 random bytes in hex.
///
/// # Errors
/// The system has no source of random numbers.
pub fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

impl Tokens {
    /// Returns whether none is set.
    #[must_use]
    pub fn are_unset(&self) -> bool {
        self.server.is_none() && self.admin.is_none() && self.jwt.is_none()
    }
}

impl<'a> Credentials<'a> {
    /// Reads the headers of a request.
    #[must_use]
    pub fn from_headers(headers: &'a HeaderMap) -> Self {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.as_bytes().split_at_checked(7)?;
            let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
            is_bearer.then(|| token.trim_ascii())
        });
        Self {
            key: headers.get("x-api-key").map(HeaderValue::as_bytes),
            bearer,
        }
    }

    /// Returns these credentials, overridden by the given ones.
    #[must_use]
    pub fn with_overrides(self, key: Option<&'a str>, bearer: Option<&'a str>) -> Self {
        Self {
            key: key.map(str::as_bytes).or(self.key),
            bearer: bearer.map(str::as_bytes).or(self.bearer),
        }
    }
}

impl Principal {
    /// Returns the user, if the client is limited to the sessions of one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unique_and_have_32_bytes() {
        let [one, two] = [random_token().unwrap(), random_token().unwrap()];
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
