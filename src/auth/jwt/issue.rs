//! Issues tokens, for operators and tests: a server only verifies them.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::hmac_provider::install_hmac;
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
