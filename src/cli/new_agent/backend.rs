//! `settings.backend` of a new agent, from the arguments and from what the server behind it offers.

use anyhow::bail;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::super::commands::{BackendName, NewAgentArgs};
use super::super::confirm;
use super::super::output::{note, print};
use super::super::usage_error::UsageError;
use super::choice;
use crate::agents::discovery::{self, DiscoveryError, Models, RemoteAgent};
use crate::agents::model_list::ModelList;
use crate::agents::new_agent::{ModelServer, key, parse_address, shown, written};
use crate::agents::registry::BackendContext;
use crate::agents::variables::Variables;

/// The most models that an error names.
const MAX_NAMED: usize = 10;

/// What answers for the new agent.
#[derive(Debug)]
pub(super) struct Chosen {
    /// `settings.backend`.
    pub(super) fields: Map<String, Value>,
    /// The variable that holds the key.
    pub(super) key_variable: Option<String>,
}

/// Refuses arguments that the backend does not have, and the lack of those that it needs.
pub(super) fn check(args: &NewAgentArgs) -> Result<(), UsageError> {
    let backend = args.backend;
    let is_openai = backend == BackendName::OpenAi;
    let has_key = is_openai || backend == BackendName::ElizaOs;
    if args.model.is_some() && !is_openai {
        return Err(UsageError(format!(
            "--model is for the backend openai; a backend of type {backend} has no model"
        )));
    }
    if args
        .model
        .as_ref()
        .is_some_and(|model| model.trim().is_empty())
    {
        return Err(UsageError(
            "--model is empty; expected the name of a model".into(),
        ));
    }
    if args.api_key_env.is_some() && !has_key {
        return Err(UsageError(format!(
            "--api-key-env is for the backends openai and elizaos; a backend of type {backend} has \
             no key"
        )));
    }
    match (backend, &args.base_url) {
        (BackendName::External, Some(_)) => Err(UsageError(
            "--base-url is given, but a backend of type external has no address: the agent itself \
             connects to the server"
                .into(),
        )),
        (BackendName::Webhook, None) => Err(UsageError(
            "--base-url is missing; expected the address that messages are posted to, such as \
             http://127.0.0.1:8080/reply"
                .into(),
        )),
        (BackendName::ElizaOs, None) => Err(UsageError(
            "--base-url is missing; expected the address of the ElizaOS server, such as \
             http://127.0.0.1:3001"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// Determines the fields of the backend. Asks its server where that has something to choose from.
pub(super) async fn choose(
    args: &NewAgentArgs,
    variables: &Variables,
    context: &BackendContext,
) -> anyhow::Result<Chosen> {
    let base = args.base_url.as_deref();
    let base = base.map(|text| parse_address("--base-url", text));
    let base = base.transpose().map_err(UsageError)?;
    let mut fields = Map::new();
    fields.insert("type".into(), args.backend.to_string().into());
    match (args.backend, base) {
        (BackendName::OpenAi, base) => {
            let server = match base {
                Some(base) => ModelServer::at(base, variables),
                None => ModelServer::from_variables(variables).map_err(anyhow::Error::msg)?,
            };
            let variable = args.api_key_env.as_deref().or(server.key_variable);
            let key = read_key(variable, variables)?;
            let (base, model) = model(args, &server, key.as_ref(), variable, context).await?;
            fields.insert("baseUrl".into(), written(&base).into());
            fields.insert("model".into(), model.into());
            return Ok(with_key(fields, variable));
        }
        (BackendName::ElizaOs, Some(base)) => {
            let variable = args.api_key_env.as_deref();
            let key = read_key(variable, variables)?;
            let found = discovery::remote_agents(&base, key.as_ref(), context).await;
            let at = shown(&base);
            let agents = found.map_err(|error| no_agents(&error, &at, variable))?;
            let agent = remote_agent(&args.name, &agents, &at)?;
            fields.insert("baseUrl".into(), written(&base).into());
            fields.insert("agentId".into(), agent.id.to_string().into());
            return Ok(with_key(fields, variable));
        }
        (BackendName::Webhook, Some(url)) => {
            fields.insert("url".into(), url.to_string().into());
        }
        // The arguments were checked.
        _ => {}
    }
    Ok(with_key(fields, None))
}

fn with_key(mut fields: Map<String, Value>, variable: Option<&str>) -> Chosen {
    if let Some(variable) = variable {
        fields.insert("apiKeyEnv".into(), variable.into());
    }
    Chosen {
        fields,
        key_variable: variable.map(str::to_owned),
    }
}

fn read_key(variable: Option<&str>, variables: &Variables) -> anyhow::Result<Option<SecretString>> {
    let key = variable.map(|variable| key(variable, variables));
    key.transpose().map_err(anyhow::Error::msg)
}

/// Returns the address of the API and the model.
async fn model(
    args: &NewAgentArgs,
    server: &ModelServer,
    key: Option<&SecretString>,
    variable: Option<&str>,
    context: &BackendContext,
) -> anyhow::Result<(reqwest::Url, String)> {
    let given = args.model.as_deref().map(str::trim);
    let at = shown(&server.base);
    let origin = server.origin;
    match discovery::models(&server.base, key, context).await {
        Ok(Models { base, list }) => {
            let at = shown(&base);
            let model = listed_model(given, &list, &at)?;
            Ok((base, model))
        }
        Err(DiscoveryError::NoList(cause)) => {
            let hint = path_hint(&server.base);
            let Some(model) = given else {
                return Err(UsageError(format!(
                    "--model is missing, and {at} ({origin}) has no list of models to choose from: \
                     {cause}{hint}"
                ))
                .into());
            };
            note(&format!(
                "{at} ({origin}) has no list of models: {cause}; {model} was not checked{hint}"
            ));
            Ok((server.base.clone(), model.to_owned()))
        }
        Err(DiscoveryError::Unauthorized(cause)) => bail!(
            "{at} ({origin}) does not list its models: {cause}; {}",
            key_hint(variable)
        ),
        Err(DiscoveryError::Failed(cause)) => bail!(
            "the models of {at} ({origin}) cannot be listed: {cause}; start that server, or give \
             the address of another one with --base-url"
        ),
    }
}

fn path_hint(base: &reqwest::Url) -> &'static str {
    if base.path().trim_end_matches('/').ends_with("/v1") {
        return "";
    }
    "; should it end in /v1?"
}

fn key_hint(variable: Option<&str>) -> String {
    variable.map_or_else(
        || "name the variable that holds its key with --api-key-env".to_owned(),
        |variable| format!("check the key in {variable}"),
    )
}

/// Returns the model of a list that was given or is chosen.
fn listed_model(given: Option<&str>, list: &ModelList, at: &str) -> anyhow::Result<String> {
    let names = list.names();
    if names.is_empty() {
        bail!("{at} has no models; load or pull one there first");
    }
    if let Some(model) = given {
        let found = list.find(model);
        return found.ok_or_else(|| unknown_model(model, list, at));
    }
    let index = select("model", names, at, || {
        UsageError(format!(
            "--model is missing; choose one of the {} models of {at}",
            names.len()
        ))
    })?;
    Ok(names[index].clone())
}

fn unknown_model(model: &str, list: &ModelList, at: &str) -> anyhow::Error {
    let similar = list.similar(model);
    if !similar.is_empty() {
        let similar = similar.join(" or ");
        return anyhow::anyhow!("{at} has no model {model:?}; did you mean {similar}?");
    }
    let offered = list.names();
    let mut names = offered
        .iter()
        .take(MAX_NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if offered.len() > MAX_NAMED {
        names = format!("{names} and {} others", offered.len() - MAX_NAMED);
    }
    anyhow::anyhow!("{at} has no model {model:?}; it has {names}")
}

fn no_agents(error: &DiscoveryError, at: &str, variable: Option<&str>) -> anyhow::Error {
    let hint = match error {
        DiscoveryError::NoList(_) => {
            "expected the address of an ElizaOS server, without /api behind it".to_owned()
        }
        DiscoveryError::Unauthorized(_) => key_hint(variable),
        DiscoveryError::Failed(_) => {
            "start that server, or give the address of another one".to_owned()
        }
    };
    anyhow::anyhow!("the agents of {at} cannot be listed: {error}; {hint}")
}

/// Returns the only agent of a server, the one of the same name, or the one that is chosen.
fn remote_agent<'a>(
    name: &str,
    agents: &'a [RemoteAgent],
    at: &str,
) -> anyhow::Result<&'a RemoteAgent> {
    let name = name.trim().to_lowercase();
    let same: Vec<_> = agents
        .iter()
        .filter(|agent| agent.name.to_lowercase() == name)
        .collect();
    match (agents, same.as_slice()) {
        ([], _) => bail!("{at} has no agents; create one there first"),
        ([agent], _) => return Ok(agent),
        (_, [agent]) => return Ok(*agent),
        _ => {}
    }
    let names: Vec<_> = agents
        .iter()
        .map(|agent| format!("{} ({})", agent.name, agent.id))
        .collect();
    let index = select("agent", &names, at, || {
        UsageError(format!(
            "{at} has {} agents; use the name of one of them as NAME, or choose one on a terminal",
            agents.len()
        ))
    })?;
    Ok(&agents[index])
}

/// Lets a person choose on the terminal. Without a terminal, lists the names and fails with the
/// error.
fn select(
    thing: &str,
    names: &[String],
    at: &str,
    missing: impl FnOnce() -> UsageError,
) -> anyhow::Result<usize> {
    if !confirm::is_possible() {
        print(&names.join("\n"))?;
        return Err(missing().into());
    }
    note(&format!("{at} has:"));
    let chosen = choice::ask(thing, names)?;
    chosen.ok_or_else(|| anyhow::anyhow!("no {thing} was chosen; nothing was written"))
}
