//! The calls of `sessiond sessions` to the API.

use anyhow::bail;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::super::connection::{ApiRefusal, ServerConnection};
use crate::domain::id::UserId;

const SESSIONS: &str = "/api/messaging/sessions";

/// The longest page of sessions and of found messages.
const MAX_SESSIONS: usize = 1000;
const MAX_FOUND: usize = 100;

/// What was found, and whether there is more.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) items: Vec<Value>,
    pub(super) has_more: bool,
}

/// Returns the path of a list with these parameters.
fn list_path(parameters: &[(&str, &str)]) -> String {
    // Any base will do: only the query is used.
    let query = Url::parse_with_params("http://localhost", parameters);
    let query = query.ok().and_then(|url| url.query().map(str::to_owned));
    format!("{SESSIONS}?{}", query.unwrap_or_default())
}

/// Lists up to `limit` sessions.
pub(super) async fn list(
    connection: &ServerConnection,
    parameters: &[(&str, &str)],
    limit: usize,
) -> anyhow::Result<Found> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let size = (limit - items.len()).min(MAX_SESSIONS).to_string();
        let mut all = parameters.to_vec();
        all.push(("limit", &size));
        all.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let mut page = connection.json(Method::GET, &list_path(&all), None).await?;
        take(&mut page["sessions"], &mut items);
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= limit {
            let has_more = cursor.is_some();
            return Ok(Found { items, has_more });
        }
    }
}

/// Finds up to `limit` messages.
pub(super) async fn search(
    connection: &ServerConnection,
    query: &Value,
    limit: usize,
) -> anyhow::Result<Found> {
    let mut items = Vec::new();
    let mut query = query.clone();
    loop {
        query["limit"] = json!((limit - items.len()).min(MAX_FOUND));
        let path = "/api/messaging/messages/search";
        let mut page = connection.json(Method::POST, path, Some(&query)).await?;
        take(&mut page["messages"], &mut items);
        let cursor = page["nextCursor"].take();
        if cursor.is_null() || items.len() >= limit {
            let has_more = !cursor.is_null();
            return Ok(Found { items, has_more });
        }
        query["cursor"] = cursor;
    }
}

/// Returns a session, active or retained. `None` if there is none that the client may see.
pub(super) async fn find(connection: &ServerConnection, id: &str) -> anyhow::Result<Option<Value>> {
    let found = connection
        .json(Method::GET, &format!("{SESSIONS}/{id}"), None)
        .await;
    match found {
        Ok(session) => return Ok(Some(session)),
        Err(error) if is_refused(&error, "SESSION_EXPIRED") => {}
        Err(error) if is_refused(&error, "SESSION_NOT_FOUND") => return Ok(None),
        Err(error) => return Err(error),
    }
    // Only the list still shows it.
    let own = connection.user().await?;
    let mut parameters = vec![("status", "expired"), ("q", id)];
    parameters.extend(own.as_deref().map(|user| ("userId", user)));
    let found = list(connection, &parameters, usize::MAX).await?;
    let mut sessions = found.items.into_iter();
    Ok(sessions.find(|session| session["sessionId"] == id))
}

/// Returns the last messages of a session, oldest first.
pub(super) async fn last_messages(
    connection: &ServerConnection,
    id: &str,
    limit: u8,
) -> anyhow::Result<Vec<Value>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let path = format!("/api/messaging/channels/{id}/messages?limit={limit}");
    let mut page = connection.json(Method::GET, &path, None).await?;
    let mut messages = Vec::new();
    take(&mut page["messages"], &mut messages);
    messages.reverse();
    Ok(messages)
}

/// Deletes a session.
pub(super) async fn delete(connection: &ServerConnection, id: &str) -> anyhow::Result<()> {
    let path = format!("{SESSIONS}/{id}");
    connection
        .json(Method::DELETE, &path, None)
        .await
        .map(|_| ())
}

/// Deletes all sessions of a user. Returns their number.
pub(super) async fn erase(connection: &ServerConnection, user: UserId) -> anyhow::Result<u64> {
    let path = list_path(&[("userId", &user.to_string())]);
    let erased = connection.json(Method::DELETE, &path, None).await?;
    match erased["deleted"].as_u64() {
        Some(deleted) => Ok(deleted),
        None => bail!("the server's response does not say how many sessions it has deleted"),
    }
}

fn take(from: &mut Value, to: &mut Vec<Value>) {
    if let Value::Array(items) = from.take() {
        to.extend(items);
    }
}

fn is_refused(error: &anyhow::Error, code: &str) -> bool {
    let refused: Option<&ApiRefusal> = error.downcast_ref();
    refused.is_some_and(|refused| refused.code == code)
}
