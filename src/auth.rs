//! Who may call.

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The paths that need no credentials: they hold no data.
const OPEN_PATHS: [&str; 5] = ["/healthz", "/health", "/", "/docs", "/openapi.json"];

/// Below it are the console's files, which hold no data either.
const OPEN_FOLDER: &str = "/console/";

/// The server's token, if it has one.
///
/// Both sides are hashed before they are compared, so that neither the time nor the length of a
/// guess says anything.
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<[u8; 32]>,
}

impl Guard {
    /// A guard that asks for this token.
    #[must_use]
    pub fn new(token: Option<&SecretString>) -> Self {
        Self {
            token: token.map(|token| digest(token.expose_secret().as_bytes())),
        }
    }

    /// Whether a call may pass.
    #[must_use]
    pub fn admits(&self, path: &str, headers: &HeaderMap) -> bool {
        OPEN_PATHS.contains(&path) || path.starts_with(OPEN_FOLDER) || self.knows(headers, None)
    }

    /// Whether these headers, or this key beside them, are those of somebody who may call.
    #[must_use]
    pub fn knows(&self, headers: &HeaderMap, key: Option<&str>) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let is_right = |sent: &[u8]| bool::from(digest(sent).ct_eq(token));
        let header = headers.get("x-api-key").map(HeaderValue::as_bytes);
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
            let (scheme, sent) = value.as_bytes().split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| sent.trim_ascii())
        });
        [header, bearer, key.map(str::as_bytes)]
            .into_iter()
            .flatten()
            .any(is_right)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
