//! The model of a character's settings, or of `ElizaOS`'s variables.

use std::ops::RangeInclusive;

use secrecy::{ExposeSecret as _, SecretString};

use super::OpenAi;
use super::headers::headers;
use super::parameters::Parameters;
use crate::agents::backend::Backend;
use crate::agents::backend_context::BackendContext;
use crate::agents::backends::prompt;
use crate::agents::character::Character;
use crate::agents::settings::SettingsError;

/// The limits of the protocol.
const TEMPERATURES: RangeInclusive<f64> = 0.0..=2.0;

/// More than any model generates.
const MAX_TOKENS: u32 = 1_000_000;

/// More than any model's context.
const MAX_CONTEXT_TOKENS: u32 = 100_000_000;

impl OpenAi {
    /// Returns the model of a character's settings.
    pub(crate) fn from_settings(
        character: &Character,
        context: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsError> {
        let config = &character.backend;
        let base = config.url("baseUrl", config.required("baseUrl")?)?;
        let tokens = |name| config.integer(name, &(1..=MAX_TOKENS));
        let model = config.text("model")?;
        let parameters = Parameters {
            model: model
                .filter(|model| !model.trim().is_empty())
                .map(str::to_owned),
            temperature: config.number("temperature", &TEMPERATURES)?,
            max_tokens: tokens("maxTokens")?,
            max_completion_tokens: tokens("maxCompletionTokens")?,
            ..Parameters::default()
        };
        let extra = config.object("extraBody", "an object such as {\"top_k\": 40}")?;
        let model = Self {
            key: config.header_secret("apiKeyEnv", context)?,
            headers: headers(character)?,
            parameters: parameters.with_extra(extra.cloned().unwrap_or_default()),
            history: config.history(prompt::HISTORY)?,
            context_tokens: config.integer("contextTokens", &(1..=MAX_CONTEXT_TOKENS))?,
            ..Self::new(&base, character, context)
        };
        Ok(Box::new(model))
    }

    /// Returns the model that `ElizaOS`'s variables name, if any is set.
    pub(crate) fn from_variables(
        character: &Character,
        context: &BackendContext,
    ) -> Result<Option<Box<dyn Backend>>, SettingsError> {
        let variable = |name| {
            let value = context.variables.get(name);
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
        let base = character.backend.url(name, &base)?;
        let mut backend = Self::new(&base, character, context);
        backend.key = key;
        backend.parameters.model = Some(model);
        Ok(Some(Box::new(backend)))
    }
}

/// Returns the base URL of this protocol from that of Ollama's own.
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
    fn both_base_urls_of_ollama_are_accepted() {
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
