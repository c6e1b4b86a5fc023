//! Which model a character is answered by.

use std::ops::RangeInclusive;

use secrecy::{ExposeSecret as _, SecretString};

use super::OpenAi;
use super::headers::headers;
use super::parameters::Parameters;
use crate::agents::backend::Backend;
use crate::agents::backends::prompt;
use crate::agents::character::Character;
use crate::agents::registry::BackendContext;
use crate::agents::settings::SettingsFault;

/// What the protocol allows.
const TEMPERATURES: RangeInclusive<f64> = 0.0..=2.0;

/// More than any model gives.
const MAX_TOKENS: u32 = 1_000_000;

/// More than any model holds.
const MAX_CONTEXT_TOKENS: u32 = 100_000_000;

impl OpenAi {
    /// The model that a character's settings name.
    pub(in crate::agents) fn from_settings(
        character: &Character,
        tools: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsFault> {
        let config = &character.backend;
        let base = config.address("baseUrl", config.required("baseUrl")?)?;
        let tokens = |name| config.whole(name, &(1..=MAX_TOKENS));
        let parameters = Parameters {
            model: config
                .text("model")?
                .filter(|model| !model.trim().is_empty())
                .map(str::to_owned),
            temperature: config.number("temperature", &TEMPERATURES)?,
            max_tokens: tokens("maxTokens")?,
            max_completion_tokens: tokens("maxCompletionTokens")?,
            ..Parameters::default()
        };
        let example = "an object such as {\"top_k\": 40}";
        let extra = config.object("extraBody", example)?.cloned();
        let model = Self {
            key: config.header_secret("apiKeyEnv", tools)?,
            headers: headers(character)?,
            parameters: parameters.and(extra.unwrap_or_default()),
            history: config.history(prompt::HISTORY)?,
            context_tokens: config.whole("contextTokens", &(1..=MAX_CONTEXT_TOKENS))?,
            ..Self::at(&base, character, tools)
        };
        Ok(Box::new(model))
    }

    /// The model that `ElizaOS`'s own variables name, if they name one.
    pub(in crate::agents) fn from_variables(
        character: &Character,
        tools: &BackendContext,
    ) -> Result<Option<Box<dyn Backend>>, SettingsFault> {
        let variable = |name| {
            let value = tools.variables.get(name);
            value.map(|value| value.expose_secret().trim().to_owned())
        };
        let key = variable("OPENAI_API_KEY").map(SecretString::from);
        let base = variable("OPENAI_BASE_URL");
        let (name, base, key, model) = if key.is_some() || base.is_some() {
            let base = base.unwrap_or_else(|| "https://api.openai.com/v1".into());
            let model = variable("OPENAI_LARGE_MODEL").unwrap_or_else(|| "gpt-4o".into());
            ("OPENAI_BASE_URL", base, key, model)
        } else if let Some(endpoint) = variable("OLLAMA_API_ENDPOINT") {
            let model = variable("OLLAMA_LARGE_MODEL").unwrap_or_else(|| "gemma3:latest".into());
            ("OLLAMA_API_ENDPOINT", ollama_base(&endpoint), None, model)
        } else {
            return Ok(None);
        };
        let base = character.backend.address(name, &base)?;
        Ok(Some(Box::new(Self {
            key,
            parameters: Parameters {
                model: Some(model),
                ..Parameters::default()
            },
            ..Self::at(&base, character, tools)
        })))
    }
}

/// Where Ollama speaks this protocol, from where it speaks its own.
fn ollama_base(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    let base = endpoint.strip_suffix("/api").unwrap_or(endpoint);
    if base.ends_with("/v1") {
        return base.to_owned();
    }
    format!("{base}/v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_is_found_from_either_of_its_addresses() {
        for endpoint in [
            "http://h:1/api",
            "http://h:1/api/",
            "http://h:1",
            "http://h:1/v1",
        ] {
            assert_eq!(ollama_base(endpoint), "http://h:1/v1", "{endpoint}");
        }
    }
}
