//! Messages: sending them and reading them.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::app::SendRequest;
use crate::app::error::{AppError, Invalid};
use crate::domain::timeout::kind;
use crate::http::dto::{self, MessageList};
use crate::http::error::{ApiError, Call};
use crate::http::extract::{CalledBy, JsonObject, SessionPath, idempotency_key};
use crate::http::query::Parameters;
use crate::http::router::ApiState;
use crate::http::sse;

/// Says that a call with an idempotency key was answered from what an earlier one did.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How a client wants to get the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Transport {
    /// Later, by a socket or from the history.
    Websocket,
    /// In the response.
    Http,
    /// As a stream of events.
    Sse,
}

/// `POST /api/messaging/sessions/{id}/messages`
pub(in crate::http) async fn send(
    State(state): State<ApiState>,
    SessionPath(session): SessionPath,
    CalledBy(visitor): CalledBy,
    headers: HeaderMap,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let failed = |error: AppError| ApiError::of(error, Call::Send);
    let transport = transport(&fields)?;
    let request = SendRequest {
        session,
        address: visitor.address,
        fields,
        key: idempotency_key(&headers),
        socket: None,
    };
    let mut message = state.app.send(request).await.map_err(failed)?;
    let is_replayed = message.sent.replayed;
    let mut response = match transport {
        Transport::Sse => sse::reply_stream(message, state.app.now()),
        Transport::Websocket => dto::json(
            StatusCode::CREATED,
            &dto::sent(&message, None, state.app.now()),
        ),
        Transport::Http => {
            let reply = state.app.reply(&mut message).await.map_err(failed)?;
            let sent = dto::sent(&message, Some(&reply), state.app.now());
            dto::json(StatusCode::CREATED, &sent)
        }
    };
    if is_replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// `GET /api/messaging/sessions/{id}/messages`
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    SessionPath(session): SessionPath,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let transcript = state.app.messages(&session, parameters.messages()?)?;
    Ok(dto::json(
        StatusCode::OK,
        &MessageList::new(&transcript.session, &transcript.page),
    ))
}

/// `GET /api/messaging/channels/{id}/messages`
pub(in crate::http) async fn transcript(
    State(state): State<ApiState>,
    SessionPath(channel): SessionPath,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let transcript = state.app.transcript(&channel, parameters.messages()?)?;
    Ok(dto::json(
        StatusCode::OK,
        &MessageList::new(&transcript.session, &transcript.page),
    ))
}

/// The transport; the older `mode` where there is none.
pub(in crate::http) fn transport(fields: &Map<String, Value>) -> Result<Transport, Invalid> {
    let given = |name| fields.get(name).filter(|value| !value.is_null());
    let (name, value, words) = if let Some(value) = given("transport") {
        ("transport", value, ["websocket", "http", "sse"])
    } else if let Some(value) = given("mode") {
        ("mode", value, ["websocket", "sync", "stream"])
    } else {
        return Ok(Transport::Websocket);
    };
    let transports = [Transport::Websocket, Transport::Http, Transport::Sse];
    let Some(text) = value.as_str() else {
        let found = kind(value);
        return Err(Invalid::Content(format!(
            "{name} must be {}, not {found}",
            choice(words)
        )));
    };
    let known = words.iter().position(|word| *word == text);
    known
        .map(|index| transports[index])
        .ok_or_else(|| Invalid::Content(format!("{name} must be {}", choice(words))))
}

fn choice([one, two, three]: [&str; 3]) -> String {
    format!("\"{one}\", \"{two}\" or \"{three}\"")
}
