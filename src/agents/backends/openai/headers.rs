//! Headers of the character's own, which go with each request.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::agents::character::Character;
use crate::agents::settings::{SettingsFault, kind_of};

const FIELD: &str = "headers";

/// Headers that belong to a connection or to the request itself: sessiond sets those that are needed.
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

/// Parts of the names of headers that carry secrets.
const SECRET: [&str; 6] = [
    "authorization",
    "cookie",
    "key",
    "password",
    "secret",
    "token",
];

/// The headers that a character's settings name. No value is ever shown: it may be a secret.
pub(super) fn headers(character: &Character) -> Result<HeaderMap, SettingsFault> {
    let config = &character.backend;
    let example = "an object of texts such as {\"X-Title\": \"My app\"}";
    let mut headers = HeaderMap::new();
    let has_key = config
        .text("apiKeyEnv")?
        .is_some_and(|name| !name.is_empty());
    for (name, value) in config.object(FIELD, example)?.into_iter().flatten() {
        let fault = |reason: String| config.fault_in(FIELD, format!("settings.backend.{reason}"));
        let header = header(name, value, has_key).map_err(fault)?;
        if headers.insert(header.0, header.1).is_some() {
            return Err(fault(format!(
                "{FIELD} has {name} twice; allowed is once, in any case"
            )));
        }
        if is_secret(name) {
            let agent = &character.name;
            tracing::warn!(
                %agent, header = %name,
                "the character file holds the value of a header that carries secrets; whoever reads \
                 the file reads it (apiKeyEnv names a variable instead)"
            );
        }
    }
    Ok(headers)
}

fn header(name: &str, value: &Value, has_key: bool) -> Result<(HeaderName, HeaderValue), String> {
    let header = HeaderName::try_from(name).map_err(|_| {
        format!("{FIELD} has the name {name:?}; allowed are letters, digits and !#$%&'*+-.^_`|~")
    })?;
    if RESERVED.contains(&header.as_str()) {
        return Err(format!(
            "{FIELD} has {name}, which sessiond sets where it is needed; take it out"
        ));
    }
    if has_key && header == reqwest::header::AUTHORIZATION {
        return Err(format!(
            "{FIELD} has {name}, which apiKeyEnv sets; take one of them out"
        ));
    }
    let Value::String(text) = value else {
        let found = kind_of(value);
        return Err(format!(
            "{FIELD}.{name} is {found}; allowed is a text in quotes"
        ));
    };
    let mut value = HeaderValue::from_str(text.trim()).map_err(|_| {
        format!("{FIELD}.{name} has a character that no header carries; allowed is visible ASCII")
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}
