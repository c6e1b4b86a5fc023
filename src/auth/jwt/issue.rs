//! Issues tokens, for operators and tests: a server only verifies them.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::Sha256;

use super::install_hmac;
use crate::auth::claims::{ClaimRules, InvalidJwt};
use crate::domain::id::UserId;
use crate::domain::time::{Millis, Timestamp};

/// A new token.
#[derive(Debug)]
pub struct IssuedJwt {
    /// The token.
    pub token: SecretString,
    /// The user whom it identifies.
    pub user: UserId,
    /// When it expires.
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct IssuedClaims<'a> {
    sub: &'a str,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Issues a token that a server with this key and these rules accepts: signed by HS256, with the
/// first accepted issuer and audience.
///
/// # Errors
/// The rules do not accept the subject.
pub fn issue(
    key: &SecretString,
    rules: &ClaimRules,
    subject: &str,
    now: Timestamp,
    lifetime: Duration,
) -> Result<IssuedJwt, InvalidJwt> {
    install_hmac();
    let user = rules.subject.user(subject)?;
    let exp = (now + Millis::from(lifetime)).0 / 1000;
    let claims = IssuedClaims {
        sub: subject,
        exp,
        iss: rules.issuers.first().map(String::as_str),
        aud: rules.audiences.first().map(String::as_str),
    };
    let key = EncodingKey::from_secret(key.expose_secret().as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    Ok(IssuedJwt {
        token: token.map_err(|_| InvalidJwt::Unsigned)?.into(),
        user,
        expires_at: Timestamp(exp * 1000),
    })
}

struct HmacSigner(Hmac<Sha256>);

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library defines the type"
)]
pub(super) fn signer(
    algorithm: &Algorithm,
    key: &EncodingKey,
) -> Result<Box<dyn JwtSigner>, Error> {
    if *algorithm != Algorithm::HS256 {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let mac = Hmac::new_from_slice(key.as_bytes());
    let mac = mac.map_err(|_| ErrorKind::InvalidKeyFormat)?;
    Ok(Box::new(HmacSigner(mac)))
}

impl signature::Signer<Vec<u8>> for HmacSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mac = self.0.clone().chain_update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for HmacSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
