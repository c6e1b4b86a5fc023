//! Searching messages.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use uuid::Uuid;

use super::fields;
use crate::api::dto::queries::parameter::{Rounding, invalid, time};
use crate::api::dto::schemas::schema;
use crate::api::dto::search_cursor::search_position;
use crate::app::MessageSearch;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::number;
use crate::domain::search::{MessageFilter, SearchText};
use crate::domain::time::Timestamp;
use crate::json::{self, Field};

/// The longest `query`, in Unicode characters.
const MAX_QUERY_CHARS: usize = 200;
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// A search of messages. Absent fields match all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchMessagesRequest {
    /// Only messages whose content contains this text, in any case. If it is blank, all match.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200, example = "invoice")]
    query: Field<String>,
    /// Only messages of this session.
    #[serde(default)]
    #[schema(schema_with = session_schema)]
    channel_id: Field<String>,
    /// Only messages of this author, a user or an agent.
    #[serde(default)]
    #[schema(schema_with = author_schema)]
    author_id: Field<String>,
    #[serde(default)]
    #[schema(schema_with = from_schema)]
    from: Field<Value>,
    #[serde(default)]
    #[schema(schema_with = to_schema)]
    to: Field<Value>,
    #[serde(default)]
    #[schema(schema_with = user_schema)]
    user_id: Field<String>,
    #[serde(default)]
    #[schema(schema_with = agent_schema)]
    agent_id: Field<String>,
    /// The size of the page; 20 if it is absent.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Field<Value>,
    // Other servers page by these two. They are refused rather than ignored, since a client would
    // get the first page each time.
    #[serde(default)]
    #[schema(ignore)]
    offset: Field<Value>,
    #[serde(default)]
    #[schema(ignore)]
    page: Field<Value>,
    #[serde(default)]
    #[schema(schema_with = cursor_schema)]
    cursor: Field<String>,
}

impl SearchMessagesRequest {
    /// Validates the fields. Fails with the first invalid one. Without `userId`, a user searches
    /// its own sessions.
    pub(crate) fn validate(self, own: Option<UserId>) -> Result<MessageSearch, ValidationError> {
        let filter = MessageFilter {
            text: query(self.query)?,
            session: uuid("channelId", self.channel_id)?.map(SessionId),
            author: uuid("authorId", self.author_id)?,
            from: instant("from", self.from, Rounding::Up)?,
            to: instant("to", self.to, Rounding::Down)?,
            user: uuid("userId", self.user_id)?.map(UserId).or(own),
            agent: uuid("agentId", self.agent_id)?.map(AgentId),
        };
        let limit = limit(self.limit)?;
        refuse_above("offset", self.offset, 0.0)?;
        refuse_above("page", self.page, 1.0)?;
        let cursor = self.cursor.given().map_err(cursor_error)?;
        let after = cursor.map(|cursor| {
            let position = search_position(&cursor, &filter);
            position.ok_or_else(|| cursor_error(&cursor))
        });
        Ok(MessageSearch {
            after: after.transpose()?,
            filter,
            limit,
        })
    }
}

fn query(sent: Field<String>) -> Result<Option<SearchText>, ValidationError> {
    let error = |reason| ValidationError::Content {
        field: "query",
        reason,
    };
    let text = sent
        .given()
        .map_err(|found| error(format!("query must be a string, not {found}")))?;
    let text = text.unwrap_or_default();
    if number::is_blank(&text) {
        return Ok(None);
    }
    match text.chars().count() {
        ..=MAX_QUERY_CHARS => Ok(Some(SearchText::new(&text))),
        chars => Err(error(format!(
            "query must be at most {MAX_QUERY_CHARS} characters, not {chars}"
        ))),
    }
}

fn uuid(field: &'static str, sent: Field<String>) -> Result<Option<Uuid>, ValidationError> {
    match sent {
        Field::Absent | Field::Null => Ok(None),
        given => fields::uuid(field, given).map(Some),
    }
}

/// Parses a time: text as in a query string, or a number of milliseconds.
fn instant(
    name: &'static str,
    sent: Field<Value>,
    rounding: Rounding,
) -> Result<Option<Timestamp>, ValidationError> {
    match sent.given().ok().flatten() {
        None => Ok(None),
        Some(Value::String(text)) => time(name, Some(&text), rounding),
        // The text of any other value is that of an integer or invalid.
        Some(other) => time(name, Some(&json::text(&other)), rounding),
    }
}

fn limit(sent: Field<Value>) -> Result<usize, ValidationError> {
    let Some(sent) = sent.given().ok().flatten() else {
        return Ok(DEFAULT_LIMIT);
    };
    let limit = sent.as_u64().and_then(|it| usize::try_from(it).ok());
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let expected = || format!("an integer from 1 to {MAX_LIMIT}");
    limit.ok_or_else(|| invalid("limit", &shown(&sent), &expected()))
}

/// Refuses a parameter of a paging that does not exist, unless it asks for the first page.
fn refuse_above(name: &'static str, sent: Field<Value>, first: f64) -> Result<(), ValidationError> {
    let Some(sent) = sent.given().ok().flatten() else {
        return Ok(());
    };
    if sent.as_f64().is_some_and(|number| number <= first) {
        return Ok(());
    }
    let expected = format!("absent or {first}; use cursor for further pages");
    Err(invalid(name, &shown(&sent), &expected))
}

fn cursor_error(value: &str) -> ValidationError {
    let expected = "the nextCursor of an earlier page of this search";
    invalid("cursor", value, expected)
}

/// Returns a value as text for an error.
fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| json::text(value), str::to_owned)
}

fn session_schema() -> Schema {
    id_schema("Only messages of this session. It must exist.")
}

fn author_schema() -> Schema {
    id_schema("Only messages of this author, a user or an agent.")
}

fn user_schema() -> Schema {
    id_schema("Only sessions of this user. A user searches its own if it is absent.")
}

fn agent_schema() -> Schema {
    id_schema("Only sessions of this agent.")
}

fn id_schema(description: &str) -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "format": "uuid",
        "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "description": description,
    }))
}

fn from_schema() -> Schema {
    time_schema("Only messages at or after this time")
}

fn to_schema() -> Schema {
    time_schema("Only messages at or before this time")
}

fn time_schema(description: &str) -> Schema {
    schema(json!({
        "type": ["string", "integer", "null"],
        "description": format!("{description}: milliseconds since the epoch, or RFC 3339."),
        "example": "2024-01-15T10:30:45.123Z",
    }))
}

fn cursor_schema() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "pattern": "^[0-9a-fA-F]{64}$",
        "description": "The `nextCursor` of the previous page of the same search.",
    }))
}
