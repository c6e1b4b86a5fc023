//! JSON Web Tokens, made as a holder of the key makes them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The key with which the tests sign.
pub(crate) const KEY: &str = "the tests' key, of thirty-two bytes and more";

/// Returns a user's token. `exp` is in seconds since the epoch.
pub(crate) fn token(user: &str, exp: i64) -> String {
    signed(
        &json!({ "alg": "HS256", "typ": "JWT" }),
        &json!({ "sub": user, "exp": exp }),
        KEY,
    )
}

/// Returns a token with any header and claims.
pub(crate) fn signed(header: &Value, claims: &Value, key: &str) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut hmac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key will do");
    hmac.update(message.as_bytes());
    format!("{message}.{}", BASE64.encode(hmac.finalize().into_bytes()))
}
