//! Settings of agents that have no effect, or another effect than they seem to have. They stop
//! nothing, so the start and `sessiond agents` warn of them.

use std::collections::HashMap;

use reqwest::Url;
use secrecy::ExposeSecret as _;

use super::backends::openai::{Provider, VariableModel};
use super::client::address;
use super::registry::{Agent, Registry};
use super::variables::Variables;

/// Fields of a character file that name variables.
const NAMING_FIELDS: [&str; 2] = ["apiKeyEnv", "secretEnv"];

/// Returns a warning for each such setting of these agents and variables.
#[must_use]
pub fn warnings(agents: &Registry, variables: &Variables) -> Vec<String> {
    let mut warnings = Vec::new();
    for provider in Provider::ALL {
        warnings.extend(unused_variables(provider, agents, variables));
    }
    warnings.extend(agents.iter().filter_map(unread_members));
    warnings.extend(agents.iter().filter_map(base_without_path));
    warnings.extend(
        agents
            .iter()
            .flat_map(|agent| agent.backend.warnings())
            .cloned(),
    );
    warnings.extend(same_names(agents));
    warnings
}

/// Warns of a provider's variables that are set although no agent uses them.
fn unused_variables(
    provider: Provider,
    agents: &Registry,
    variables: &Variables,
) -> Option<String> {
    let used = VariableModel::find(variables).filter(|model| model.provider == provider);
    if used.is_some() && agents.iter().any(is_from_variables) {
        return None;
    }
    let own = provider.model(variables);
    let base = own.as_ref().and_then(|model| Url::parse(&model.base).ok());
    let base = base.map(|base| address::without_secrets(&base));
    let is_at_base = |agent: &Agent| base.is_some() && agent.backend.address() == base;
    let is_named = |name: &str| agents.iter().any(|agent| names_variable(agent, name));
    let model_variable = provider.model_variable();
    let model = variables.get(model_variable);
    let model = model.as_ref().map(|model| model.expose_secret().trim());
    let requests = |agent: &Agent| model.is_some() && agent.backend.model() == model;
    let unused = [
        provider.key_variable().filter(|name| !is_named(name)),
        Some(provider.address_variable()).filter(|_| !agents.iter().any(is_at_base)),
        Some(model_variable).filter(|_| !agents.iter().any(requests)),
    ];
    let unused = unused.into_iter().flatten();
    let unused: Vec<_> = unused
        .filter(|name| variables.get(name).is_some())
        .collect();
    if unused.is_empty() {
        return None;
    }
    let (verb, pronoun) = if unused.len() == 1 {
        ("is", "it")
    } else {
        ("are", "them")
    };
    Some(format!(
        "{} {verb} set, but no agent uses {pronoun}: {}",
        unused.join(" and "),
        why_unused(provider, own.is_some(), agents, variables)
    ))
}

fn why_unused(
    provider: Provider,
    names_model: bool,
    agents: &Registry,
    variables: &Variables,
) -> String {
    if !names_model {
        return match provider {
            Provider::OpenAi => "OPENAI_API_KEY or OPENAI_BASE_URL has to be set too".to_owned(),
            Provider::Ollama => "OLLAMA_API_ENDPOINT has to be set too".to_owned(),
        };
    }
    let is_overridden = VariableModel::find(variables).is_some_and(|it| it.provider != provider);
    if is_overridden && agents.iter().any(is_from_variables) {
        return "OPENAI_API_KEY and OPENAI_BASE_URL take precedence".to_owned();
    }
    "each character file names its backend, and the built-in agent uses a model only if there are no \
     character files; remove settings.backend from a file, or run `sessiond agents new NAME`"
        .to_owned()
}

/// Returns whether an agent is answered by the model that the variables name.
fn is_from_variables(agent: &Agent) -> bool {
    agent.character.backend.kind.is_none() && agent.backend.kind() == "openai"
}

/// Returns whether the file of an agent names a variable.
fn names_variable(agent: &Agent, variable: &str) -> bool {
    NAMING_FIELDS.iter().any(|field| {
        let named = agent.character.backend.text(field);
        named.is_ok_and(|named| named == Some(variable))
    })
}

/// Warns of a file that names a model or plugins although the rule engine answers.
fn unread_members(agent: &Agent) -> Option<String> {
    let character = &agent.character;
    let file = character.file.as_ref()?;
    let is_default = character.backend.kind.is_none() && agent.backend.kind() == "eliza";
    if !is_default || character.unread.is_empty() {
        return None;
    }
    Some(format!(
        "{} names {}, but the built-in rule engine answers for {:?}: only settings.backend, or \
         OPENAI_API_KEY, OPENAI_BASE_URL or OLLAMA_API_ENDPOINT, selects a model here (docs/agents.md)",
        file.display(),
        character.unread.join(" and "),
        character.name
    ))
}

/// Warns of a model's address that has no path. Most servers have the API below `/v1`.
fn base_without_path(agent: &Agent) -> Option<String> {
    if agent.backend.kind() != "openai" {
        return None;
    }
    let base = agent.backend.address()?;
    let has_no_path = Url::parse(&base).is_ok_and(|base| address::has_no_path(&base));
    has_no_path.then(|| {
        format!(
            "the address of the model of {:?}, {base}, has no path; should baseUrl end in /v1?",
            agent.character.name
        )
    })
}

/// Warns of agents that only their ids tell apart.
fn same_names(agents: &Registry) -> Vec<String> {
    let mut first_of: HashMap<String, &Agent> = HashMap::new();
    let mut warnings = Vec::new();
    for agent in agents.iter() {
        let name = agent.character.name.trim().to_lowercase();
        let Some(first) = first_of.get(&name) else {
            first_of.insert(name, agent);
            continue;
        };
        warnings.push(format!(
            "{} and {} have the same name, {:?}: only their ids, {} and {}, tell them apart",
            origin(first),
            origin(agent),
            agent.character.name,
            first.character.id,
            agent.character.id
        ));
    }
    warnings
}

fn origin(agent: &Agent) -> String {
    let file = agent.character.file.as_ref();
    file.map_or_else(
        || "the built-in agent".to_owned(),
        |file| file.display().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::super::backend_context::BackendContext;
    use super::*;
    use crate::domain::time::Timestamp;

    /// The warnings for agents of these files, with these variables.
    fn of(files: &[Value], set: &'static [(&str, &str)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        for (number, file) in files.iter().enumerate() {
            let path = directory.path().join(format!("{number}.json"));
            fs::write(path, file.to_string()).unwrap();
        }
        let variables = Variables::new(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).into())
        });
        let context = BackendContext::new(variables.clone()).unwrap();
        let agents = Registry::load(directory.path(), Timestamp(0), &context).unwrap();
        warnings(&agents, &variables)
    }

    fn file(backend: &Value) -> Value {
        json!({ "name": "Ada", "settings": { "backend": backend } })
    }

    fn one(warnings: &[String], start: &str, part: &str) {
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert!(warnings[0].starts_with(start), "{warnings:#?}");
        assert!(warnings[0].contains(part), "{warnings:#?}");
    }

    #[test]
    fn variables_that_no_agent_uses_are_named_with_the_reason() {
        let eliza = file(&json!({ "type": "eliza" }));
        let plain = json!({ "name": "Plain" });
        one(
            &of(
                std::slice::from_ref(&eliza),
                &[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://h/v1")],
            ),
            "OPENAI_API_KEY and OPENAI_BASE_URL are set, but no agent uses them: ",
            "only if there are no character files",
        );
        one(
            &of(&[eliza], &[("OLLAMA_API_ENDPOINT", "http://h")]),
            "OLLAMA_API_ENDPOINT is set, but no agent uses it: ",
            "sessiond agents new NAME",
        );
        one(
            &of(
                &[plain],
                &[("OPENAI_API_KEY", "k"), ("OLLAMA_API_ENDPOINT", "http://h")],
            ),
            "OLLAMA_API_ENDPOINT is set",
            "OPENAI_API_KEY and OPENAI_BASE_URL take precedence",
        );
        one(
            &of(&[], &[("OLLAMA_LARGE_MODEL", "m")]),
            "OLLAMA_LARGE_MODEL is set",
            "OLLAMA_API_ENDPOINT has to be set too",
        );
    }

    #[test]
    fn variables_that_an_agent_uses_are_not() {
        let ollama: &[_] = &[
            ("OLLAMA_API_ENDPOINT", "http://h/api"),
            ("OLLAMA_LARGE_MODEL", "m"),
        ];
        let named = json!({
            "type": "openai", "baseUrl": "https://h/v1/", "model": "m", "apiKeyEnv": "OPENAI_API_KEY",
        });
        let same = json!({ "type": "openai", "baseUrl": "http://h/v1", "model": "m" });
        for (files, set) in [
            (vec![], ollama),
            (vec![json!({ "name": "Plain" })], ollama),
            (vec![file(&same)], ollama),
            (
                vec![file(&named)],
                &[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "https://h/v1")],
            ),
            (vec![], &[]),
        ] {
            let warnings = of(&files, set);
            assert!(warnings.is_empty(), "{files:?}: {warnings:#?}");
        }
    }

    #[test]
    fn a_file_that_names_a_model_and_gets_the_rule_engine_is_named() {
        let named = json!({ "name": "Ada", "modelProvider": "openai", "plugins": ["x"] });
        let warnings = of(std::slice::from_ref(&named), &[]);
        one(
            &warnings,
            "/",
            "0.json names modelProvider and plugins, but",
        );
        let warnings = of(&[named], &[("OLLAMA_API_ENDPOINT", "http://h")]);
        assert!(warnings.is_empty(), "{warnings:#?}");
        let chosen = json!({
            "name": "Ada", "plugins": ["x"], "settings": { "backend": { "type": "eliza" } },
        });
        assert!(of(&[chosen], &[]).is_empty());
    }

    #[test]
    fn an_address_without_a_path_is_asked_about() {
        for base in ["http://h:1", "http://h:1/?key=secret"] {
            let warnings = of(&[file(&json!({ "type": "openai", "baseUrl": base }))], &[]);
            one(
                &warnings,
                "the address of the model of \"Ada\", http://h:1, ",
                "end in /v1?",
            );
        }
        let hook = file(&json!({ "type": "webhook", "url": "http://h:1" }));
        assert!(of(&[hook], &[]).is_empty());
    }

    #[test]
    fn agents_of_one_name_are_named_with_their_ids() {
        let id = "a6e27000-0000-0000-0000-000000000001";
        let warnings = of(
            &[json!({ "name": "Ada" }), json!({ "name": "ADA", "id": id })],
            &[],
        );
        one(&warnings, "/", id);
        let warnings = of(&[json!({ "name": "eliza", "id": id })], &[]);
        one(&warnings, "the built-in agent and /", id);
    }
}
