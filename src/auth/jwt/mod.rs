//! Users' JSON Web Tokens (RFC 7519), with HS256 only.

use std::sync::Once;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier as Verify, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::Sha256;

use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// How far the clock of the issuer may deviate, in milliseconds.
const LEEWAY: f64 = 5_000.0;

/// Verifies the tokens of one key, which its `Debug` redacts.
#[derive(Debug)]
pub(super) struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
}

/// Why a token is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJwt {
    /// It is malformed or not signed correctly.
    #[error("is not signed with JWT_SECRET, or lacks exp or sub")]
    Unsigned,
    /// It has expired.
    #[error("has expired")]
    Expired,
    /// Its `nbf` is in the future.
    #[error("is not valid yet")]
    NotYetValid,
    /// Its subject is not a UUID.
    #[error("has a sub that is not a UUID")]
    InvalidSubject,
}

/// Claims. Times are in seconds since the epoch, with fractions.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: String,
}

impl JwtVerifier {
    pub(super) fn new(key: &SecretString) -> Self {
        install_hmac();
        let mut validation = Validation::new(Algorithm::HS256);
        // `verify` checks the times, with the server's clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            key: DecodingKey::from_secret(key.expose_secret().as_bytes()),
            validation,
        }
    }

    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<UserId, InvalidJwt> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| InvalidJwt::Unsigned)?;
        if token.header.crit.is_some() {
            // No critical extension is supported (RFC 7515, 4.1.11).
            return Err(InvalidJwt::Unsigned);
        }
        let claims = token.claims;
        // A double is exact for milliseconds of the next 285,000 years.
        #[allow(clippy::cast_precision_loss)]
        let now = now.0 as f64;
        if now >= claims.exp.mul_add(1000.0, LEEWAY) {
            return Err(InvalidJwt::Expired);
        }
        if claims
            .nbf
            .is_some_and(|nbf| now < nbf.mul_add(1000.0, -LEEWAY))
        {
            return Err(InvalidJwt::NotYetValid);
        }
        UserId::parse(&claims.sub).ok_or(InvalidJwt::InvalidSubject)
    }
}

/// Installs HMAC as the library's only cryptography. Its own providers depend on the `rsa` crate,
/// which has known weaknesses.
fn install_hmac() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
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
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library defines the type"
)]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn Verify>, Error> {
    if *algorithm != Algorithm::HS256 {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let hmac = Hmac::new_from_slice(key.try_get_as_bytes()?);
    Ok(Box::new(Hs256(
        hmac.map_err(|_| ErrorKind::InvalidKeyFormat)?,
    )))
}

struct Hs256(Hmac<Sha256>);

impl signature::Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut hmac = self.0.clone();
        hmac.update(message);
        // This takes constant time.
        hmac.verify_slice(signature)
            .map_err(|_| signature::Error::new())
    }
}

impl Verify for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests;
