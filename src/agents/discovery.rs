//! Asks the servers behind agents what they offer: models, or the agents of `ElizaOS`.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::backend::BodyProgress;
use super::backend_context::BackendContext;
use super::client::address;
use super::client::body::{AnswerBody, BodyKind};
use super::client::http_client::{self, Repeat};
use super::client::redact::Redactor;
use super::model_list::ModelList;
use crate::domain::id::AgentId;

/// The longest time that a list may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most agents of a server that are listed.
const MAX_AGENTS: usize = 1000;

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The server answers, but it has no such list.
    #[error("{0}")]
    NoList(String),
    /// The server wants a key, or another one.
    #[error("{0}")]
    Unauthorized(String),
    /// The server does not answer, or it fails.
    #[error("{0}")]
    Failed(String),
}

/// The models of a server.
#[derive(Debug)]
pub struct Models {
    /// The address at which the server has its API: the given one, or `/v1` below that.
    pub base: Url,
    /// Their names.
    pub list: ModelList,
}

/// An agent of an `ElizaOS` server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAgent {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
}

/// Lists the models of a server that speaks the API of `OpenAI`. If its address has no path, the list
/// is looked for at `/v1` first, where most servers have it.
///
/// # Errors
/// See [`DiscoveryError`].
pub async fn models(
    base: &Url,
    key: Option<&SecretString>,
    context: &BackendContext,
) -> Result<Models, DiscoveryError> {
    if address::has_no_path(base) {
        let found = models_at(http_client::append_path(base, "/v1"), key, context).await;
        if !matches!(found, Err(DiscoveryError::NoList(_))) {
            return found;
        }
    }
    models_at(base.clone(), key, context).await
}

async fn models_at(
    base: Url,
    key: Option<&SecretString>,
    context: &BackendContext,
) -> Result<Models, DiscoveryError> {
    let request = context
        .client
        .get(http_client::append_path(&base, "/models"));
    let request = match key {
        Some(key) => request.bearer_auth(key.expose_secret()),
        None => request,
    };
    let answer = json(request, key).await?;
    let list = ModelList::parse(&answer)
        .ok_or_else(|| DiscoveryError::NoList("its answer is not a list of models".into()))?;
    Ok(Models { base, list })
}

/// Lists the agents of an `ElizaOS` server.
///
/// # Errors
/// See [`DiscoveryError`].
pub async fn remote_agents(
    base: &Url,
    key: Option<&SecretString>,
    context: &BackendContext,
) -> Result<Vec<RemoteAgent>, DiscoveryError> {
    let request = context
        .client
        .get(http_client::append_path(base, "/api/agents"));
    let request = match key {
        Some(key) => request.header("X-API-KEY", key.expose_secret()),
        None => request,
    };
    let answer = json(request, key).await?;
    parse_agents(&answer)
        .ok_or_else(|| DiscoveryError::NoList("its answer is not a list of agents".into()))
}

fn parse_agents(answer: &Value) -> Option<Vec<RemoteAgent>> {
    // Older versions have no object around the list.
    let members = answer.get("data").unwrap_or(answer);
    let agents = members.get("agents")?.as_array()?;
    let agents = agents.iter().filter_map(|agent| {
        let text = |name| agent.get(name)?.as_str();
        let name = text("name").or_else(|| text("characterName"))?;
        Some(RemoteAgent {
            id: AgentId::parse(text("id")?)?,
            name: name.replace(char::is_control, " "),
        })
    });
    Some(agents.take(MAX_AGENTS).collect())
}

/// Sends a request, and reads the answer as JSON.
async fn json(
    request: RequestBuilder,
    key: Option<&SecretString>,
) -> Result<Value, DiscoveryError> {
    let redactor = Redactor::default().with_key(key);
    let failed = |error: super::backend::BackendError| DiscoveryError::Failed(error.to_string());
    let reading = async {
        let response = http_client::send(request, &redactor, Repeat::Harmless)
            .await
            .map_err(failed)?;
        let response = match http_client::check(response).await {
            Ok(response) => response,
            Err(refusal) => {
                let status = refusal.status;
                let cause = refusal.into_error(&redactor, Repeat::Harmless).to_string();
                return Err(refused(status, cause));
            }
        };
        let mut body = AnswerBody::new(response, &BodyProgress::default(), &redactor);
        // A page, or another text.
        match body.kind().await {
            Ok(BodyKind::Json) => {}
            Ok(BodyKind::Events) => {
                return Err(DiscoveryError::NoList("its answer is not JSON".into()));
            }
            Err(error) => return Err(DiscoveryError::NoList(error.to_string())),
        }
        body.json().await.map_err(failed)
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| {
            let seconds = PATIENCE.as_secs();
            Err(DiscoveryError::Failed(format!(
                "no answer within {seconds} s"
            )))
        })
}

fn refused(status: StatusCode, cause: String) -> DiscoveryError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => DiscoveryError::Unauthorized(cause),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            DiscoveryError::NoList(cause)
        }
        _ => DiscoveryError::Failed(cause),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_agents_of_an_elizaos_server_are_read() {
        let id = "b850bc30-45f8-0041-a00a-83df46d8555d";
        let agent = json!({ "id": id, "name": "El\u{1b}iza", "characterName": "Eliza" });
        let broken = json!({ "id": "x", "name": "y" });
        for answer in [
            json!({ "success": true, "data": { "agents": [agent, broken] } }),
            json!({ "agents": [agent] }),
        ] {
            let agents = parse_agents(&answer).unwrap();
            let expected = RemoteAgent {
                id: AgentId::parse(id).unwrap(),
                name: "El iza".into(),
            };
            assert_eq!(agents, [expected]);
        }
        for other in [json!([]), json!({ "data": [] }), json!({ "agents": {} })] {
            assert_eq!(parse_agents(&other), None, "{other}");
        }
    }
}
