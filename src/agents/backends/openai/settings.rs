//! The model of a character's settings, or of `ElizaOS`'s variables.

use std::ops::RangeInclusive;

use super::headers::headers;
use super::parameters::Parameters;
use super::variables::VariableModel;
use super::{OpenAi, characters_of};
use crate::agents::backend::Backend;
use crate::agents::backend_context::BackendContext;
use crate::agents::backends::prompt::{self, PROMPT_FIELDS, SystemPrompt};
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
        let context_tokens = config.integer("contextTokens", &(1..=MAX_CONTEXT_TOKENS))?;
        let fields = config.choices("promptFields", &PROMPT_FIELDS)?;
        let max_chars = context_tokens.map(|tokens| characters_of(tokens) / 2);
        let system = SystemPrompt::new(character, fields.as_deref(), max_chars);
        let extra = config.object("extraBody", "an object such as {\"top_k\": 40}")?;
        let model = Self {
            key: config.header_secret("apiKeyEnv", context)?,
            headers: headers(character)?,
            parameters: parameters.with_extra(extra.cloned().unwrap_or_default()),
            history: config.history(prompt::HISTORY)?,
            context_tokens,
            vision: config.flag("vision")?.unwrap_or(true),
            ..Self::new(&base, character, system, context)
        };
        Ok(Box::new(model))
    }

    /// Returns the model that `ElizaOS`'s variables name, if any is set.
    pub(crate) fn from_variables(
        character: &Character,
        context: &BackendContext,
    ) -> Result<Option<Box<dyn Backend>>, SettingsError> {
        let Some(named) = VariableModel::find(&context.variables) else {
            return Ok(None);
        };
        let variable = named.provider.address_variable();
        let base = character.backend.url(variable, &named.base)?;
        let system = SystemPrompt::new(character, None, None);
        let mut backend = Self::new(&base, character, system, context);
        if let Some(key) = &named.key {
            context.secrets.add(key);
        }
        backend.key = named.key;
        backend.parameters.model = Some(named.model);
        Ok(Some(Box::new(backend)))
    }
}
