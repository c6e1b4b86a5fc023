//! Identifies clients by their credentials.

use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::access::Access;
use super::address::TrustedProxies;
use super::claims::ClaimRules;
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
    /// Which JSON Web Tokens are accepted.
    pub claims: ClaimRules,
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
    server: Option<SecretBox<[u8; 32]>>,
    admin: Option<SecretBox<[u8; 32]>>,
    jwt: Option<JwtVerifier>,
    clock: Clock,
    /// Which web pages may call.
    pub origins: Origins,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: TrustedProxies,
}

impl Authenticator {
    /// Returns an authenticator with a policy.
    #[must_use]
    pub fn new(policy: Policy, clock: Clock) -> Self {
        let (tokens, claims) = (policy.tokens, policy.claims);
        Self {
            server: tokens.server.as_ref().map(secret_digest),
            admin: tokens.admin.as_ref().map(secret_digest),
            jwt: tokens.jwt.map(|key| JwtVerifier::new(&key, claims)),
            clock,
            origins: policy.origins,
            proxies: policy.proxies,
        }
    }

    /// Returns whether credentials are required.
    #[must_use]
    pub fn requires_credentials(&self) -> bool {
        self.server.is_some() || self.has_admins()
    }

    /// Identifies the owner of these credentials.
    ///
    /// # Errors
    /// The credentials are missing or invalid, and the server requires some.
    pub fn identify(&self, credentials: &Credentials<'_>) -> Result<Principal, Unauthorized> {
        if !self.requires_credentials() {
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
        let sent = digest(token);
        let is_sent = |known: &SecretBox<[u8; 32]>| known.expose_secret().ct_eq(&sent).into();
        // Both are always compared, so that the time reveals nothing.
        let is_admin = self.admin.as_ref().is_some_and(is_sent);
        let is_server = self.server.as_ref().is_some_and(is_sent);
        let server = is_server.then_some(Principal::Server);
        is_admin.then_some(Principal::Admin).or(server)
    }
}

fn secret_digest(secret: &SecretString) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new(digest(secret.expose_secret().as_bytes())))
}

/// Hashes a token, so that a comparison takes the same time for every token, whatever its length.
fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}
