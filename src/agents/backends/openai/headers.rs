//! Headers of a character's requests.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::agents::character::Character;
use crate::agents::settings::SettingsError;
use crate::json;

const FIELD: &str = "headers";

/// Headers of the connection or of the request itself, which the HTTP client sets.
const RESERVED: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parts of the names of headers that hold secrets.
const SECRET: [&str; 6] = [
    "authorization",
    "cookie",
    "key",
    "password",
    "secret",
    "token",
];

/// Returns the headers of a character's settings. Errors never repeat a value, which may be secret.
pub(super) fn headers(character: &Character) -> Result<HeaderMap, SettingsError> {
    let config = &character.backend;
    let expected = "an object of strings such as {\"X-Title\": \"My app\"}";
    let mut headers = HeaderMap::new();
    let key = config.text("apiKeyEnv")?;
    let has_key = key.is_some_and(|name| !name.is_empty());
    for (name, value) in config.object(FIELD, expected)?.into_iter().flatten() {
        let error = |reason: String| {
            config.error_in(FIELD, format!("invalid settings.backend.{FIELD}: {reason}"))
        };
        let (header, value) = header(name, value, has_key).map_err(error)?;
        if headers.insert(header, value).is_some() {
            return Err(error(format!(
                "{name} is set twice (header names ignore case)"
            )));
        }
        if is_secret(name) {
            let agent = &character.name;
            tracing::warn!(
                %agent, header = %name,
                "the character file contains the value of a header that holds secrets; everyone \
                 who can read the file can read it (apiKeyEnv names a variable instead)"
            );
        }
    }
    Ok(headers)
}

fn header(name: &str, value: &Value, has_key: bool) -> Result<(HeaderName, HeaderValue), String> {
    let header = HeaderName::try_from(name).map_err(|_| {
        format!("expected names of letters, digits and !#$%&'*+-.^_`|~, found {name:?}")
    })?;
    if RESERVED.contains(&header.as_str()) {
        return Err(format!(
            "sessiond sets {name} where it is needed; remove it"
        ));
    }
    if has_key && header == AUTHORIZATION {
        return Err(format!("apiKeyEnv sets {name}; remove one of them"));
    }
    let Value::String(text) = value else {
        let found = json::kind(value);
        return Err(format!("expected a string as {name}, found {found}"));
    };
    let mut value = HeaderValue::from_str(text.trim())
        .map_err(|_| format!("expected visible ASCII as {name}, found another character"))?;
    value.set_sensitive(true);
    Ok((header, value))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}
