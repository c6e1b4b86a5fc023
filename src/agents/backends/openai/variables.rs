//! The model that `ElizaOS`'s own variables name.

use secrecy::{ExposeSecret as _, SecretString};

use crate::agents::variables::Variables;

/// The public API, which a key without an address belongs to.
const PUBLIC_API: &str = "https://api.openai.com/v1";

/// Whose variables name a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// `OPENAI_…`, which take precedence.
    OpenAi,
    /// `OLLAMA_…`
    Ollama,
}

/// A model that variables name.
#[derive(Debug)]
pub(crate) struct VariableModel {
    pub(crate) provider: Provider,
    /// The address of its server.
    pub(crate) base: String,
    pub(crate) key: Option<SecretString>,
    pub(crate) model: String,
}

impl Provider {
    pub(crate) const ALL: [Self; 2] = [Self::OpenAi, Self::Ollama];

    /// The variable of the address.
    pub(crate) const fn address_variable(self) -> &'static str {
        match self {
            Self::OpenAi => "OPENAI_BASE_URL",
            Self::Ollama => "OLLAMA_API_ENDPOINT",
        }
    }

    /// The variable of the key, if its server takes one.
    pub(crate) const fn key_variable(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("OPENAI_API_KEY"),
            Self::Ollama => None,
        }
    }

    /// The variable of the model's name.
    pub(crate) const fn model_variable(self) -> &'static str {
        match self {
            Self::OpenAi => "OPENAI_LARGE_MODEL",
            Self::Ollama => "OLLAMA_LARGE_MODEL",
        }
    }

    const fn default_model(self) -> &'static str {
        match self {
            Self::OpenAi => "gpt-4o",
            Self::Ollama => "gemma3:latest",
        }
    }

    /// Returns the model that the variables of this provider name, if they name one.
    pub(crate) fn model(self, variables: &Variables) -> Option<VariableModel> {
        let text = |name| {
            let value = variables.get(name)?;
            Some(value.expose_secret().trim().to_owned())
        };
        let key = self.key_variable().and_then(text);
        let base = match (text(self.address_variable()), &key, self) {
            (Some(base), _, Self::OpenAi) => base,
            (Some(endpoint), _, Self::Ollama) => ollama_base(&endpoint),
            (None, Some(_), _) => PUBLIC_API.to_owned(),
            (None, None, _) => return None,
        };
        Some(VariableModel {
            provider: self,
            base,
            key: key.map(SecretString::from),
            model: text(self.model_variable()).unwrap_or_else(|| self.default_model().to_owned()),
        })
    }
}

impl VariableModel {
    /// Returns the model that the variables name, if they name one.
    pub(crate) fn find(variables: &Variables) -> Option<Self> {
        let mut models = Provider::ALL.into_iter();
        models.find_map(|provider| provider.model(variables))
    }
}

/// Returns the address at which Ollama speaks this protocol, from the one of its own API.
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
