//! Users' JSON Web Tokens (RFC 7519): HS256 and nothing else.

use std::fmt;
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

/// How far the clock of whoever signs may be off, in milliseconds.
const LEEWAY: f64 = 5_000.0;

/// Verifies tokens that are signed with one key.
pub(super) struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
}

/// Why a token is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is no token, or is not signed as it should be.
    #[error("is not signed with our key, or has no exp and sub")]
    Unsigned,
    /// It has expired.
    #[error("has expired")]
    Expired,
    /// It is not valid yet.
    #[error("is not valid yet")]
    NotYetValid,
    /// Its subject is no user of ours.
    #[error("has no UUID as its sub")]
    NoUser,
}

/// Times are seconds since the epoch, which may have fractions.
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
        // The times are checked below, by the server's own clock; there is no audience.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            key: DecodingKey::from_secret(key.expose_secret().as_bytes()),
            validation,
        }
    }

    /// The user whose token it is.
    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<UserId, Rejected> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| Rejected::Unsigned)?;
        if token.header.crit.is_some() {
            // It must be understood (RFC 7515, 4.1.11), and none is.
            return Err(Rejected::Unsigned);
        }
        let claims = token.claims;
        // Milliseconds are exact in a double for the next 285,000 years.
        #[allow(clippy::cast_precision_loss)]
        let now = now.0 as f64;
        if now >= claims.exp.mul_add(1000.0, LEEWAY) {
            return Err(Rejected::Expired);
        }
        if claims
            .nbf
            .is_some_and(|nbf| now < nbf.mul_add(1000.0, -LEEWAY))
        {
            return Err(Rejected::NotYetValid);
        }
        UserId::parse(&claims.sub).ok_or(Rejected::NoUser)
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Has the library use the one algorithm that is wanted here. Its own sets bring RSA and elliptic
/// curves along, and with them known weaknesses.
fn install_hmac() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    // Nothing else of this process installs one.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

// The library gives the types of these two.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

#[allow(clippy::trivially_copy_pass_by_ref)]
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
        // In constant time.
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
