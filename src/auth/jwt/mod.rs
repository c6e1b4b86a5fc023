//! Users' JSON Web Tokens (RFC 7519), signed by HMAC.

mod hmac_provider;
mod issue;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};

use self::hmac_provider::install_hmac;
pub use self::issue::{IssuedJwt, issue};
use super::claims::{ClaimRules, Claims, InvalidJwt};
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// Verifies the tokens of one key, which its `Debug` redacts.
#[derive(Debug)]
pub(super) struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
    rules: ClaimRules,
}

impl JwtVerifier {
    pub(super) fn new(key: &SecretString, rules: ClaimRules) -> Self {
        install_hmac();
        let mut validation = Validation::new(Algorithm::HS256);
        let stronger = [Algorithm::HS384, Algorithm::HS512];
        validation.algorithms.extend(stronger);
        // `Claims` are checked here, with the server's clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            key: DecodingKey::from_secret(key.expose_secret().as_bytes()),
            validation,
            rules,
        }
    }

    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<UserId, InvalidJwt> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| InvalidJwt::Unsigned)?;
        if token.header.crit.is_some() {
            // No critical extension is supported (RFC 7515, 4.1.11).
            return Err(InvalidJwt::Unsigned);
        }
        token.claims.user(&self.rules, now)
    }
}

#[cfg(test)]
mod tests;
