//! The address of the server behind an agent, in a character file, a variable or an argument.

use reqwest::Url;

use crate::agents::client::{address, http_client};

/// Parses an address. The error says what is wrong and what is allowed; it never repeats the
/// address, which may hold a password.
pub(crate) fn parse(name: &str, text: &str) -> Result<Url, String> {
    let url = http_client::parse_url(text).ok_or_else(|| {
        format!(
            "{name} must be a URL that begins with http:// or https://, with a host and an \
             optional port from 1 to 65535"
        )
    })?;
    if address::has_user_information(&url) {
        return Err(format!(
            "{name} has user information (USER:PASSWORD@); expected an address without it: {}",
            remedy(name)
        ));
    }
    Ok(url)
}

/// Returns where to put a secret that was found in the address of this name.
fn remedy(name: &str) -> &'static str {
    match name {
        "url" => "remove it, and name the variable of a secret that signs the calls with secretEnv",
        "OPENAI_BASE_URL" => "put the key into OPENAI_API_KEY",
        "--base-url" | "--from-elizaos" => {
            "put the key into a variable, and name the variable with --api-key-env"
        }
        _ => "put the key into a variable, and name the variable with apiKeyEnv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_refused_without_repeating_it() {
        for (name, advice) in [
            ("baseUrl", "apiKeyEnv"),
            ("url", "secretEnv"),
            ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
            ("OLLAMA_API_ENDPOINT", "apiKeyEnv"),
            ("--base-url", "--api-key-env"),
            ("--from-elizaos", "--api-key-env"),
        ] {
            for address in ["http://user:pa55word@h/v1", "https://pa55word@h"] {
                let error = parse(name, address).unwrap_err();
                let is_right = error.starts_with(name) && error.contains(advice);
                assert!(is_right && !error.contains("pa55word"), "{error}");
            }
        }
        assert!(parse("baseUrl", "http://h/v1?user=a@b").is_ok());
    }
}
