//! The calls that prepare a measurement. A fault of the server shows here first, so errors are
//! explained here.

use std::cell::RefCell;

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::target::Target;

/// The path of the sessions.
pub(crate) const SESSIONS: &str = "/api/messaging/sessions";

/// Number of connections that prepare.
const PREPARING_CONNECTIONS: usize = 16;

/// A server and the agent to talk to.
pub(crate) struct Api {
    /// The server.
    pub(crate) target: Target,
    /// The agent's id.
    pub(crate) agent: String,
}

impl Api {
    /// Finds the server and the agent.
    pub(crate) async fn find(target: Target, agent: Option<&str>) -> anyhow::Result<Self> {
        let mut connection = connect(&target).await?;
        let agents = call(&target, &mut connection, "GET", "/api/agents", None).await?;
        let ids = agents["data"]["agents"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let ids: Vec<&str> = ids
            .iter()
            .filter_map(|agent| agent["id"].as_str())
            .collect();
        let agent = match agent {
            None => *ids.first().context("the server has no agent to talk to")?,
            Some(agent) if ids.contains(&agent) => agent,
            Some(agent) => bail!("the server has no agent {agent}; it has {}", ids.join(", ")),
        };
        let agent = agent.to_owned();
        Ok(Self { target, agent })
    }

    /// Returns the body of a create, with timeouts longer than any measurement.
    pub(crate) fn new_session(&self, user: usize) -> String {
        json!({
            "agentId": self.agent,
            "userId": format!("00000000-0000-4000-8000-{user:012x}"),
            "metadata": { "platform": "web", "username": format!("user-{user}") },
            "timeoutConfig": { "timeoutMinutes": 1440, "maxDurationMinutes": 2880 },
        })
        .to_string()
    }

    /// Creates sessions and returns their ids.
    pub(crate) async fn create_sessions(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let ids = RefCell::new(Vec::with_capacity(count));
        let hand = async |first: usize| -> anyhow::Result<()> {
            let mut connection = connect(&self.target).await?;
            for user in (first..count).step_by(PREPARING_CONNECTIONS) {
                let body = self.new_session(user);
                let made =
                    call(&self.target, &mut connection, "POST", SESSIONS, Some(&body)).await?;
                let id = made["sessionId"]
                    .as_str()
                    .context("a session was made without an id")?;
                ids.borrow_mut().push(id.to_owned());
            }
            Ok(())
        };
        try_join_all((0..PREPARING_CONNECTIONS.min(count)).map(hand)).await?;
        Ok(ids.into_inner())
    }

    /// Adds this many messages to each session, half of them the agent's.
    pub(crate) async fn fill(&self, sessions: &[String], messages: usize) -> anyhow::Result<()> {
        let body = message(None);
        let talk = async |id: &String| -> anyhow::Result<()> {
            let mut connection = connect(&self.target).await?;
            let path = format!("{SESSIONS}/{id}/messages");
            for _ in 0..messages.div_ceil(2) {
                call(&self.target, &mut connection, "POST", &path, Some(&body)).await?;
            }
            Ok(())
        };
        try_join_all(sessions.iter().map(talk)).await?;
        Ok(())
    }

    /// Makes one GET on a new connection.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut connection = connect(&self.target).await?;
        call(&self.target, &mut connection, "GET", path, None).await
    }
}

/// Returns the body of a send that waits for the reply.
pub(crate) fn message(topic: Option<usize>) -> String {
    let topic = topic.unwrap_or(7);
    json!({
        "content": format!("I am worried about my garden, and about number {topic} of my roses."),
        "transport": "http",
    })
    .to_string()
}

/// Connects to the server.
pub(crate) async fn connect(target: &Target) -> anyhow::Result<Connection> {
    let opened = Connection::open(target.address.socket).await;
    opened.with_context(|| format!("no server answers at http://{}", target.address.host))
}

/// Makes a call that must succeed.
pub(crate) async fn call(
    target: &Target,
    connection: &mut Connection,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> anyhow::Result<Value> {
    let request = target.request(method, path, body);
    let sent = connection.send(&request).await;
    let (status, answer) = sent.with_context(|| format!("{method} {path} got no answer"))?;
    match status {
        200..=299 => serde_json::from_slice(answer)
            .with_context(|| format!("{method} {path}: the answer is not JSON")),
        401 => bail!("the server wants a token, or another one: give it with --token (401)"),
        403 => bail!("the token does not allow {method} {path} (403)"),
        _ => bail!("{method} {path} got {status}: {}", shortened(answer)),
    }
}

/// Returns the beginning of a body, for messages.
pub(crate) fn shortened(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(300).collect()
}
