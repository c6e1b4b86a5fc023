//! The models that a server offers.

use serde_json::Value;

/// The longest name of a model, in bytes. No server has longer ones.
const MAX_NAME: usize = 256;

/// How many names are suggested in the place of a wrong one.
const MAX_SUGGESTIONS: usize = 3;

/// How similar a name is that is suggested, from 0 to 1.
const SIMILAR: f64 = 0.8;

/// The names of a server's models, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelList(Vec<String>);

impl ModelList {
    /// Reads the answer of `GET /models`. `OpenAI`'s shape is `{"data": [{"id": …}]}`, with null in
    /// the place of an empty list in some versions of Ollama; Together answers the list itself.
    /// Returns `None` if the answer is something else.
    pub(super) fn parse(answer: &Value) -> Option<Self> {
        let list = match answer {
            Value::Array(_) => answer,
            Value::Object(members) => members.get("data").or_else(|| members.get("models"))?,
            _ => return None,
        };
        let models = match list {
            Value::Array(models) => models.as_slice(),
            Value::Null => &[],
            _ => return None,
        };
        let mut names: Vec<String> = Vec::new();
        for name in models.iter().filter_map(name) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Some(Self(names))
    }

    /// Returns the names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Returns the name under which the server accepts a model, if it offers it.
    #[must_use]
    pub fn find(&self, model: &str) -> Option<String> {
        let offers = |name: &str| self.0.iter().any(|offered| offered == name);
        if offers(model) {
            return Some(model.to_owned());
        }
        // Ollama's tag that may be left out, and the form in which Gemini lists its models.
        let long = [format!("{model}:latest"), format!("models/{model}")];
        if let Some(name) = long.into_iter().find(|name| offers(name)) {
            return Some(name);
        }
        // OpenRouter's variants are not listed; LiteLLM lists patterns.
        let variant_of = model.rsplit_once(':').map(|(name, _)| name);
        let is_variant = variant_of.is_some_and(|name| name.contains('/') && offers(name));
        (is_variant || self.matches_pattern(model)).then(|| model.to_owned())
    }

    fn matches_pattern(&self, model: &str) -> bool {
        let patterns = self.0.iter().filter_map(|name| name.strip_suffix('*'));
        let mut prefixes = patterns.filter(|prefix| !prefix.contains('*'));
        prefixes.any(|prefix| model.len() > prefix.len() && model.starts_with(prefix))
    }

    /// Returns names that a wrong one may stand for, the most similar first.
    #[must_use]
    pub fn similar(&self, model: &str) -> Vec<&str> {
        let wanted = model.to_lowercase();
        let similarity = |name: &str| {
            let name = name.to_lowercase();
            if name.contains(&wanted) {
                return 1.0;
            }
            strsim::jaro_winkler(&name, &wanted)
        };
        let names = self.0.iter().map(String::as_str);
        let mut similar: Vec<_> = names
            .map(|name| (similarity(name), name))
            .filter(|(similarity, _)| *similarity >= SIMILAR)
            .collect();
        similar.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        similar.truncate(MAX_SUGGESTIONS);
        similar.into_iter().map(|(_, name)| name).collect()
    }
}

/// Returns the name of a model in a list. One that no terminal can show is not a name.
fn name(model: &Value) -> Option<&str> {
    let name = match model {
        Value::String(name) => Some(name.as_str()),
        Value::Object(members) => ["id", "name", "model"]
            .iter()
            .find_map(|member| members.get(*member)?.as_str()),
        _ => None,
    };
    let is_printable = |name: &&str| !name.chars().any(char::is_control);
    name.map(str::trim)
        .filter(|name| !name.is_empty() && name.len() <= MAX_NAME)
        .filter(is_printable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(names: &[&str]) -> ModelList {
        ModelList(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_lists_of_known_servers_are_read() {
        for (answer, names) in [
            // OpenAI, vLLM and LM Studio.
            (
                json!({ "object": "list", "data": [
                    { "id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai" },
                    { "id": "gpt-4o-mini", "object": "model", "permission": [] },
                ] }),
                &["gpt-4o", "gpt-4o-mini"][..],
            ),
            // Ollama without models.
            (json!({ "object": "list", "data": null }), &[]),
            // llama.cpp has both lists.
            (
                json!({ "models": [{ "name": "m", "model": "m" }], "object": "list",
                        "data": [{ "id": "m.gguf" }] }),
                &["m.gguf"],
            ),
            (json!({ "models": [{ "name": "m" }] }), &["m"]),
            // Together.
            (
                json!([{ "id": "a/b", "type": "chat" }, { "id": "a/b" }]),
                &["a/b"],
            ),
            // What cannot be shown or named is left out.
            (
                json!({ "data": [{ "id": "\u{1b}[2J" }, { "id": 7 }, {}, 3, { "id": " " }, "x"] }),
                &["x"],
            ),
        ] {
            assert_eq!(ModelList::parse(&answer), Some(list(names)), "{answer}");
        }
        for other in [
            json!({ "error": "Unexpected endpoint" }),
            json!("x"),
            json!({ "data": {} }),
        ] {
            assert_eq!(ModelList::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn a_model_is_found_as_its_server_finds_it() {
        let models = list(&[
            "gemma3:latest",
            "openai/gpt-4o",
            "models/gemini",
            "vertex/*",
        ]);
        for (model, found) in [
            ("gemma3:latest", Some("gemma3:latest")),
            ("gemma3", Some("gemma3:latest")),
            ("gemma3:27b", None),
            ("openai/gpt-4o:online", Some("openai/gpt-4o:online")),
            ("gemini", Some("models/gemini")),
            ("vertex/x", Some("vertex/x")),
            ("vertex/", None),
            ("llama", None),
        ] {
            assert_eq!(models.find(model).as_deref(), found, "{model}");
        }
    }

    #[test]
    fn a_wrong_name_has_similar_ones() {
        let models = list(&["gemma3:latest", "llama3.2:3b", "nomic-embed-text:latest"]);
        assert_eq!(models.similar("gema3"), ["gemma3:latest"]);
        assert_eq!(models.similar("LLAMA3.2"), ["llama3.2:3b"]);
        assert!(models.similar("gpt-4o").is_empty());
        assert_eq!(models.similar("").len(), MAX_SUGGESTIONS);
    }
}
