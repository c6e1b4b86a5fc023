//! Identifies clients by their credentials.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::access::Access;
use super::address::TrustedProxies;
use super::identity::{Credentials, Principal, Tokens, Unauthorized};
use super::jwt::JwtVerifier;
use super::origin::Origins;
use super::rate::Rates;
use crate::clock::Clock;

/// The settings of authentication and authorization.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The secrets that identify clients.
    pub tokens: Tokens,
    /// Which web pages may call.
    pub origins: Origins,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: TrustedProxies,
    /// The rate limits.
    pub rates: Rates,
}

/// Identifies clients and decides what they may do.
#[derive(Debug)]
pub struct Authenticator {
    server: Option<TokenDigest>,
    admin: Option<TokenDigest>,
    jwt: Option<JwtVerifier>,
    clock: Clock,
    /// Which web pages may call.
    pub origins: Origins,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: TrustedProxies,
}

/// The hash of a token. Comparing hashes reveals neither the token nor its length by the time it takes.
#[derive(Clone)]
struct TokenDigest([u8; 32]);

impl Authenticator {
    /// Returns an authenticator with a policy.
    #[must_use]
    pub fn new(policy: Policy, clock: Clock) -> Self {
        let tokens = policy.tokens;
        Self {
            server: tokens.server.as_ref().map(TokenDigest::from),
            admin: tokens.admin.as_ref().map(TokenDigest::from),
            jwt: tokens.jwt.as_ref().map(JwtVerifier::new),
            clock,
            origins: policy.origins,
            proxies: policy.proxies,
        }
    }

    /// Returns whether credentials are required.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.server.is_some() || self.has_admins()
    }

    /// Identifies the owner of these credentials.
    ///
    /// # Errors
    /// The credentials are missing or invalid, and the server requires some.
    pub fn identify(&self, credentials: &Credentials<'_>) -> Result<Principal, Unauthorized> {
        if !self.asks() {
            return Ok(Principal::Anonymous);
        }
        let token_owner = |token: &[u8]| self.token_owner(token);
        let owner = credentials.key.and_then(token_owner);
        if let Some(owner) = owner.or_else(|| credentials.bearer.and_then(token_owner)) {
            return Ok(owner);
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

    /// Returns whether a client may use something.
    #[must_use]
    pub fn permits(&self, principal: Principal, access: Access) -> bool {
        access.permits(principal, self.has_admins())
    }

    /// Returns whether admins are distinguished from clients with the server token.
    fn has_admins(&self) -> bool {
        self.admin.is_some() || self.jwt.is_some()
    }

    fn token_owner(&self, token: &[u8]) -> Option<Principal> {
        let sent = TokenDigest::new(token);
        // Both are compared in any case, so that the time reveals nothing.
        let is_admin = self.admin.as_ref().is_some_and(|admin| *admin == sent);
        let is_server = self.server.as_ref().is_some_and(|server| *server == sent);
        match (is_admin, is_server) {
            (true, _) => Some(Principal::Admin),
            (false, true) => Some(Principal::Server),
            (false, false) => None,
        }
    }
}

impl TokenDigest {
    fn new(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl From<&SecretString> for TokenDigest {
    fn from(secret: &SecretString) -> Self {
        Self::new(secret.expose_secret().as_bytes())
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
