//! Users' JSON Web Tokens (RFC 7519), signed by HMAC.

mod issue;

use std::sync::Once;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier as Verify, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Sha256, Sha384, Sha512};

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

/// Installs HMAC as the library's only cryptography. Its own providers depend on the `rsa` crate,
/// which has known weaknesses.
fn install_hmac() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: issue::signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    // It fails only if a provider was installed before.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library defines the type"
)]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn Verify>, Error> {
    let key = key.try_get_as_bytes()?;
    match algorithm {
        Algorithm::HS256 => HmacVerifier::<Hmac<Sha256>>::boxed(*algorithm, key),
        Algorithm::HS384 => HmacVerifier::<Hmac<Sha384>>::boxed(*algorithm, key),
        Algorithm::HS512 => HmacVerifier::<Hmac<Sha512>>::boxed(*algorithm, key),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct HmacVerifier<M> {
    algorithm: Algorithm,
    mac: M,
}

impl<M: Mac + KeyInit + Clone + 'static> HmacVerifier<M> {
    fn boxed(algorithm: Algorithm, key: &[u8]) -> Result<Box<dyn Verify>, Error> {
        let mac = <M as KeyInit>::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Box::new(Self { algorithm, mac }))
    }
}

impl<M: Mac + Clone> signature::Verifier<Vec<u8>> for HmacVerifier<M> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.mac.clone();
        mac.update(message);
        // This takes constant time.
        mac.verify_slice(signature)
            .map_err(|_| signature::Error::new())
    }
}

impl<M: Mac + Clone> Verify for HmacVerifier<M> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests;
