//! Messages: sending them and reading them.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value};

use crate::api::dto::{self, MessageList, Sent};
use crate::api::error::{ApiError, Call};
use crate::api::extract::{CalledBy, JsonObject, REPLAYED, SessionPath, idempotency_key};
use crate::api::openapi::bodies;
use crate::api::query::Parameters;
use crate::api::sse;
use crate::api::state::ApiState;
use crate::app::error::{AppError, ValidationError};
use crate::app::{Page, SendRequest, SentMessage, Target};
use crate::domain::session::Session;
use crate::domain::timeout::kind;
use crate::guard::ClientContext;
use crate::metrics::Open;

/// How a client wants to get the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Transport {
    /// Later, by a socket or from the history.
    Websocket,
    /// In the response.
    Http,
    /// As a stream of events.
    Sse,
}

/// `POST /api/messaging/sessions/{id}/messages`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/messages",
    operation_id = "sendSessionMessage",
    tag = "messages",
    summary = "Send a message",
    description = "The `transport` says how the reply comes. With a key, in the header or as `clientMessageId`, a repeat stores nothing: it joins the reply that is still coming, or answers from what is stored. The transport `sse` answers as `…/messages/stream` does, whose answer is of one kind.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session"), ("Idempotency-Key" = Option<String>, Header, description = "A name for the call, under which a repeat stores nothing: 1 to 255 visible ASCII characters", pattern = "^[!-~]{1,255}$")),
    request_body(content = bodies::SendMessageRequest),
    responses((status = 201, description = "The message is stored", body = dto::SentAnswer<'_>, headers(("Idempotent-Replayed" = String, description = "`true` where an earlier call with this key has done it")))),
)]
pub(in crate::api) async fn send(
    State(state): State<ApiState>,
    SessionPath(session): SessionPath,
    CalledBy(visitor): CalledBy,
    headers: HeaderMap,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let failed = |error: AppError| ApiError::of(error, Call::Send);
    let transport = transport(&fields)?;
    let request = request(session, &visitor, fields, &headers);
    let mut message = state.app.send(request).await.map_err(failed)?;
    let is_replayed = message.sent.replayed;
    let response = match transport {
        Transport::Sse => reply_stream(&state, message),
        Transport::Websocket => dto::json(
            StatusCode::CREATED,
            &Sent::new(&message, None, state.app.now()),
        ),
        Transport::Http => {
            let reply = state.app.reply(&mut message).await.map_err(failed)?;
            let sent = Sent::new(&message, Some(&reply), state.app.now());
            dto::json(StatusCode::CREATED, &sent)
        }
    };
    Ok(marked_if(is_replayed, response))
}

/// `POST /api/messaging/sessions/{id}/messages/stream`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/messages/stream",
    operation_id = "streamSessionMessage",
    tag = "messages",
    summary = "Send a message and stream the reply",
    description = "Errors before the stream begins are JSON. With a key, in the header or as `clientMessageId`, a repeat stores nothing: it joins the reply that is still coming, or answers from what is stored. The keys are those of `…/messages`. If the client goes away, the reply is completed and stored all the same.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session"), ("Idempotency-Key" = Option<String>, Header, description = "A name for the call, under which a repeat stores nothing: 1 to 255 visible ASCII characters", pattern = "^[!-~]{1,255}$")),
    request_body(content = bodies::StreamMessageRequest),
    responses((status = 200, description = "`user_message`, then a `chunk` for each piece of the reply, then one `done` or one `error`", content_type = "text/event-stream", body = bodies::ReplyStreamEvent, headers(("Idempotent-Replayed" = String, description = "`true` where an earlier call with this key has done it")))),
)]
pub(in crate::api) async fn stream(
    State(state): State<ApiState>,
    SessionPath(session): SessionPath,
    CalledBy(visitor): CalledBy,
    headers: HeaderMap,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let request = request(session, &visitor, fields, &headers);
    let message = state.app.send(request).await;
    let message = message.map_err(|error| ApiError::of(error, Call::Send))?;
    let is_replayed = message.sent.replayed;
    Ok(marked_if(is_replayed, reply_stream(&state, message)))
}

fn request(
    session: Target,
    visitor: &ClientContext,
    fields: Map<String, Value>,
    headers: &HeaderMap,
) -> SendRequest {
    SendRequest {
        session,
        address: visitor.address,
        fields,
        key: idempotency_key(headers),
        socket: None,
    }
}

fn reply_stream(state: &ApiState, message: SentMessage) -> Response {
    let open = Open::new(&state.app.metrics().reply_streams);
    sse::reply_stream(message, state.app.now(), open)
}

fn marked_if(is_replayed: bool, mut response: Response) -> Response {
    if is_replayed {
        let headers = response.headers_mut();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// `GET /api/messaging/sessions/{id}/messages`
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/{sessionId}/messages",
    operation_id = "getSessionMessages",
    tag = "messages",
    summary = "List the messages of a session",
    description = "Newest first.",
    params(
        ("sessionId" = String, Path, format = Uuid, description = "The session"),
        ("limit" = Option<String>, Query, description = "How many to a page, 1 to 100; 50 where it is no number"),
        ("before" = inline(Option<bodies::Cursor>), Query, description = "Only messages before this time: milliseconds of the epoch, or RFC 3339"),
        ("after" = inline(Option<bodies::Cursor>), Query, description = "Only messages after this time; alone, the page is the oldest of them"),
    ),
    responses((status = 200, description = "A page of messages", body = MessageList<'_>)),
)]
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    SessionPath(session): SessionPath,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let request = parameters.messages()?;
    Ok(state.app.messages(&session, request, page)?)
}

/// `GET /api/messaging/channels/{id}/messages`
#[utoipa::path(
    get,
    path = "/api/messaging/channels/{channelId}/messages",
    operation_id = "getChannelMessages",
    tag = "messages",
    summary = "List the messages of a session, also when it has expired",
    description = "For administrators. A session is its own channel.",
    params(
        ("channelId" = String, Path, format = Uuid, description = "The session"),
        ("limit" = Option<String>, Query, description = "How many to a page, 1 to 100; 50 where it is no number"),
        ("before" = inline(Option<bodies::Cursor>), Query, description = "Only messages before this time: milliseconds of the epoch, or RFC 3339"),
        ("after" = inline(Option<bodies::Cursor>), Query, description = "Only messages after this time; alone, the page is the oldest of them"),
    ),
    responses((status = 200, description = "A page of messages", body = MessageList<'_>)),
)]
pub(in crate::api) async fn transcript(
    State(state): State<ApiState>,
    SessionPath(channel): SessionPath,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let request = parameters.messages()?;
    Ok(state.app.transcript(&channel, request, page)?)
}

fn page(session: &Session, page: &Page<&str>) -> Response {
    MessageList::new(session, page).respond()
}

/// The transport; the older `mode` where there is none.
pub(in crate::api) fn transport(fields: &Map<String, Value>) -> Result<Transport, ValidationError> {
    let given = |name| fields.get(name).filter(|value| !value.is_null());
    let (name, value, words) = if let Some(value) = given("transport") {
        ("transport", value, ["websocket", "http", "sse"])
    } else if let Some(value) = given("mode") {
        ("mode", value, ["websocket", "sync", "stream"])
    } else {
        return Ok(Transport::Websocket);
    };
    let transports = [Transport::Websocket, Transport::Http, Transport::Sse];
    let invalid = |reason| ValidationError::Content {
        field: name,
        reason,
    };
    let Some(text) = value.as_str() else {
        let found = kind(value);
        let reason = format!("{name} must be {}, not {found}", choice(words));
        return Err(invalid(reason));
    };
    let known = words.iter().position(|word| *word == text);
    known
        .map(|index| transports[index])
        .ok_or_else(|| invalid(format!("{name} must be {}", choice(words))))
}

fn choice([one, two, three]: [&str; 3]) -> String {
    format!("\"{one}\", \"{two}\" or \"{three}\"")
}
