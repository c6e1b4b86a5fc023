//! JSON Web Tokens as whoever knows the key makes them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// The key that the tests sign with.
pub(crate) const KEY: &str = "the tests' key, of thirty-two bytes and more";

/// A user's token that expires at a time in seconds since the epoch.
pub(crate) fn token(user: &str, exp: i64) -> String {
    signed(
        &json!({ "alg": "HS256", "typ": "JWT" }),
        &json!({ "sub": user, "exp": exp }),
        KEY,
    )
}

/// Any header and claims, signed.
pub(crate) fn signed(header: &Value, claims: &Value, key: &str) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut hmac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key will do");
    hmac.update(message.as_bytes());
    format!("{message}.{}", BASE64.encode(hmac.finalize().into_bytes()))
}
