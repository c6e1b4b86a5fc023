//! Which claims of users' JSON Web Tokens are accepted, and which user they name.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::derived_id::derive_uuid;
use crate::domain::id::UserId;
use crate::domain::time::Timestamp;

/// How far the clock of the issuer may deviate, in milliseconds.
const LEEWAY: f64 = 5_000.0;

/// The largest subject, in characters.
const MAX_SUBJECT: usize = 255;

/// How a subject becomes the id of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SubjectRule {
    /// A UUID is the id; from any other text it is derived.
    #[default]
    Auto,
    /// Only UUIDs are accepted.
    Uuid,
    /// The id is derived, from UUIDs too.
    Derive,
}

/// Which claims are accepted.
#[derive(Debug, Clone, Default)]
pub struct ClaimRules {
    /// The accepted values of `iss`; all if empty.
    pub issuers: Vec<String>,
    /// The accepted values of `aud`, of which a token needs one; all if empty.
    pub audiences: Vec<String>,
    /// How `sub` becomes the id of a user.
    pub subject: SubjectRule,
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
    /// Its issuer is not accepted.
    #[error("has an iss that JWT_ISSUER does not name")]
    WrongIssuer,
    /// It is for another audience.
    #[error("has no aud that JWT_AUDIENCE names")]
    WrongAudience,
    /// Its subject is blank or too long.
    #[error("has a sub that is blank or longer than 255 characters")]
    InvalidSubject,
    /// Its subject is not a UUID, and only UUIDs are accepted.
    #[error("has a sub that is not a UUID, as JWT_SUBJECT=uuid requires")]
    SubjectNotUuid,
}

/// Claims. Times are in seconds since the epoch, with fractions.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: String,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
}

impl Claims {
    /// Returns the user whom the claims name, if they are accepted.
    pub(super) fn user(&self, rules: &ClaimRules, now: Timestamp) -> Result<UserId, InvalidJwt> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        let now = now.0 as f64;
        if now >= self.exp.mul_add(1000.0, LEEWAY) {
            return Err(InvalidJwt::Expired);
        }
        let is_early = |nbf: f64| now < nbf.mul_add(1000.0, -LEEWAY);
        if self.nbf.is_some_and(is_early) {
            return Err(InvalidJwt::NotYetValid);
        }
        if !accepts(&rules.issuers, self.iss.as_str().as_slice()) {
            return Err(InvalidJwt::WrongIssuer);
        }
        let audiences: Vec<&str> = match &self.aud {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().into_iter().collect(),
        };
        if !accepts(&rules.audiences, &audiences) {
            return Err(InvalidJwt::WrongAudience);
        }
        rules.subject.user(&self.sub)
    }
}

impl SubjectRule {
    pub(super) fn user(self, subject: &str) -> Result<UserId, InvalidJwt> {
        if subject.trim().is_empty() || subject.chars().count() > MAX_SUBJECT {
            return Err(InvalidJwt::InvalidSubject);
        }
        let derived = || UserId(derive_uuid(subject));
        match self {
            Self::Auto => Ok(UserId::parse(subject).unwrap_or_else(derived)),
            Self::Uuid => UserId::parse(subject).ok_or(InvalidJwt::SubjectNotUuid),
            Self::Derive => Ok(derived()),
        }
    }
}

/// Returns whether one of the claimed values is among the accepted ones, if those are restricted.
fn accepts(accepted: &[String], claimed: &[&str]) -> bool {
    accepted.is_empty() || accepted.iter().any(|it| claimed.contains(&it.as_str()))
}
