//! The calls of a chat to the API.

use anyhow::Context as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::agent_names::NamedAgent;
use super::super::connection::{ApiRefusal, ServerConnection};
use super::super::output::one_line;

pub(super) const SESSIONS: &str = "/api/messaging/sessions";

/// How many sessions a list shows.
const MAX_LISTED: usize = 20;

/// The session of a chat.
#[derive(Debug, Clone)]
pub(super) struct ChatSession {
    pub(super) id: String,
    pub(super) agent: String,
    pub(super) user: String,
}

/// A session in a list.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) session: ChatSession,
    pub(super) is_expired: bool,
    /// When it was last used, and the beginning of its last message.
    pub(super) last_activity: String,
    pub(super) last_message: String,
}

/// Returns the path of a session.
pub(super) fn session_path(id: &str) -> String {
    format!("{SESSIONS}/{}", encoded(id))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn text(value: &Value) -> String {
    one_line(value.as_str().unwrap_or_default())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl ChatSession {
    fn read(value: &Value) -> Self {
        Self {
            id: text(&value["sessionId"]),
            agent: text(&value["agentId"]),
            user: text(&value["userId"]),
        }
    }
}

/// Returns the agent that a chat without a choice talks to: the first one with more than the rule
/// engine behind it, if the client may know what is behind them.
pub(super) async fn default_agent<'a>(
    connection: &ServerConnection,
    agents: &'a [NamedAgent],
) -> anyhow::Result<&'a NamedAgent> {
    let first = agents.first().context("the server has no agents")?;
    if agents.len() == 1 {
        return Ok(first);
    }
    let states = agent_states(connection).await;
    let is_model = |agent: &&NamedAgent| {
        let mut states = array(&states).iter();
        states.any(|state| state["id"] == agent.id && state["backend"] != "eliza")
    };
    Ok(agents.iter().find(is_model).unwrap_or(first))
}

/// Returns what only admins may know about the agents; null for other clients.
async fn agent_states(connection: &ServerConnection) -> Value {
    let answer = connection
        .json(Method::GET, "/api/admin/agents", None)
        .await;
    answer.map_or(Value::Null, |answer| answer["agents"].clone())
}

/// Returns the cause of an agent's last failure, if the client may know it.
pub(super) async fn last_cause(connection: &ServerConnection, agent: &str) -> Option<String> {
    let states = agent_states(connection).await;
    let state = array(&states).iter().find(|state| state["id"] == agent)?;
    let cause = state["lastFailure"]["cause"].as_str()?;
    Some(one_line(cause))
}

/// Creates a session. `key` names the attempt, so that a repeat creates no second one.
pub(super) async fn create(
    connection: &ServerConnection,
    agent: &str,
    user: &str,
    key: Uuid,
    continued: Option<&str>,
) -> anyhow::Result<ChatSession> {
    let mut body = json!({ "agentId": agent, "userId": user });
    if let Some(session) = continued {
        body["continueFrom"] = json!({ "sessionId": session });
    }
    let created = connection.create(SESSIONS, &body, key).await?;
    Ok(ChatSession::read(&created))
}

/// Returns a session and whether it has expired.
pub(super) async fn find(
    connection: &ServerConnection,
    id: &str,
) -> anyhow::Result<(ChatSession, bool)> {
    let found = connection.json(Method::GET, &session_path(id), None).await;
    let error = match found {
        Ok(found) => return Ok((ChatSession::read(&found), false)),
        Err(error) => error,
    };
    if !is_refused(&error, "SESSION_EXPIRED") {
        return Err(error);
    }
    let expired = expired(connection, id).await?;
    Ok((expired.ok_or(error)?, true))
}

/// Returns an expired session, which only the list still shows.
async fn expired(connection: &ServerConnection, id: &str) -> anyhow::Result<Option<ChatSession>> {
    let user = connection.user().await?;
    let user = user.map_or_else(String::new, |user| format!("&userId={user}"));
    let mut cursor = String::new();
    loop {
        let path = format!(
            "{SESSIONS}?status=expired&limit=1&q={}{user}{cursor}",
            encoded(id)
        );
        let page = connection.json(Method::GET, &path, None).await?;
        if let Some(found) = array(&page["sessions"]).first() {
            return Ok(Some(ChatSession::read(found)));
        }
        // A page may be empty before the end of the search.
        let Some(next) = page["nextCursor"].as_str() else {
            return Ok(None);
        };
        cursor = format!("&cursor={}", encoded(next));
    }
}

/// Returns the newest sessions of a user.
pub(super) async fn list(connection: &ServerConnection, user: &str) -> anyhow::Result<Vec<Listed>> {
    let path =
        format!("{SESSIONS}?userId={user}&status=all&include=lastMessage&limit={MAX_LISTED}");
    let page = connection.json(Method::GET, &path, None).await?;
    let listed = array(&page["sessions"]).iter().map(|session| Listed {
        session: ChatSession::read(session),
        is_expired: session["status"] == "expired",
        last_activity: text(&session["lastActivity"]),
        last_message: text(&session["lastMessage"]["content"]),
    });
    Ok(listed.collect())
}

/// Sends a message. Returns its id. `key` names it, so that a repeat stores no second one.
pub(super) async fn send(
    connection: &ServerConnection,
    session: &str,
    content: &str,
    key: Uuid,
) -> anyhow::Result<String> {
    let body = json!({ "content": content, "clientMessageId": key, "transport": "websocket" });
    let path = format!("{}/messages", session_path(session));
    let sent = connection.json(Method::POST, &path, Some(&body)).await?;
    Ok(text(&sent["id"]))
}

/// Stops the reply to a message, or all replies of the session.
pub(super) async fn cancel(
    connection: &ServerConnection,
    session: &str,
    message: Option<&str>,
) -> anyhow::Result<()> {
    let path = format!("{}/cancel", session_path(session));
    let body = json!({ "messageId": message });
    connection.json(Method::POST, &path, Some(&body)).await?;
    Ok(())
}

/// A message of a session's history.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) is_agent: bool,
    /// Why it has no reply.
    pub(super) failure: Option<String>,
}

/// Returns the newest messages of a session, oldest first.
pub(super) async fn newest(
    connection: &ServerConnection,
    session: &str,
    limit: usize,
) -> anyhow::Result<Vec<Stored>> {
    let path = format!("{}/messages?limit={limit}", session_path(session));
    let page = connection.json(Method::GET, &path, None).await?;
    let messages = array(&page["messages"]).iter().rev();
    let messages = messages.map(|message| {
        let failure = message["metadata"]["agentError"]["message"].as_str();
        Stored {
            id: text(&message["id"]),
            text: message["content"].as_str().unwrap_or_default().to_owned(),
            is_agent: message["isAgent"] == true,
            failure: failure.map(one_line),
        }
    });
    Ok(messages.collect())
}

/// Whether an error is the server's with this code.
pub(super) fn is_refused(error: &anyhow::Error, code: &str) -> bool {
    let refused: Option<&ApiRefusal> = error.downcast_ref();
    refused.is_some_and(|refused| refused.code == code)
}
