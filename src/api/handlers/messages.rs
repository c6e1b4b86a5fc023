//! Sending and reading messages.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::queries::MessagePageQuery;
use crate::api::dto::requests::{ReplyTransport, SendMessageRequest, StreamMessageRequest};
use crate::api::dto::schemas::ReplyStreamEvent;
use crate::api::dto::{AgentResponse, MessageList, SentAnswer, SessionStatus, UserMessage};
use crate::api::error::{ApiError, Call};
use crate::api::extract::{ApiJson, KeyHeader, Query, SessionPath};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{
    AnySessionErrors, BodyErrors, QueryErrors, ReplyErrors, SendErrors, SessionErrors,
    StorageErrors,
};
use crate::api::response::{json, mark_replayed};
use crate::api::sse;
use crate::api::state::ApiState;
use crate::app::{NewMessage, Page, SendRequest, SentMessage, SessionRef};
use crate::auth::ClientContext;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::trace::TraceParent;
use crate::metrics::OpenGauge;

/// Send a message
///
/// The `transport` determines how the reply is delivered. With an idempotency key, in the header or
/// as `clientMessageId`, a repeat stores nothing: it joins the reply that is still in progress, or
/// returns what is stored. With the transport `sse`, the response is that of `…/messages/stream`.
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/messages",
    operation_id = "sendSessionMessage",
    tag = "messages",
    params(SessionPath, KeyHeader),
    request_body(content = SendMessageRequest, example = json!({
        "content": "Hello!", "transport": "http",
    })),
    responses(
        (
            status = 201,
            description = "The message is stored",
            body = SentAnswer<'_>,
            headers((
                "Idempotent-Replayed" = String,
                description = "`true` if an earlier call with this key has done it"
            )),
            examples(
                ("websocket" = (value = json!(examples::sent(false)))),
                ("http" = (value = json!(examples::sent(true)))),
            ),
        ),
        BodyErrors,
        SendErrors,
        StorageErrors,
        ReplyErrors,
    ),
)]
pub(in crate::api) async fn send(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    Extension(client): Extension<ClientContext>,
    trace: Option<Extension<TraceParent>>,
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<SendMessageRequest>,
) -> Result<Response, ApiError> {
    let (transport, message) = body.validate(key.as_deref())?;
    let is_streamed = matches!(transport, ReplyTransport::Sse);
    let caller = Caller { client, trace };
    let mut message = store(&state, session, caller, message, is_streamed).await?;
    let is_replayed = message.sent.replayed;
    let response = match transport {
        ReplyTransport::Sse => reply_stream(&state, message),
        ReplyTransport::Websocket => sent(&message, None, state.app.now()),
        ReplyTransport::Http => {
            let reply = state.app.reply(&mut message).await;
            let reply = reply.map_err(|error| ApiError::from_app(error, Call::Send))?;
            sent(&message, Some(&reply), state.app.now())
        }
    };
    Ok(mark_replayed(response, is_replayed))
}

/// Send a message and stream the reply
///
/// Errors before the stream starts are JSON. With an idempotency key, in the header or as
/// `clientMessageId`, a repeat stores nothing: it joins the reply that is still in progress, or
/// returns what is stored. The keys are those of `…/messages`. If the client disconnects, the reply
/// is still completed and stored.
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/messages/stream",
    operation_id = "streamSessionMessage",
    tag = "messages",
    params(SessionPath, KeyHeader),
    request_body(content = StreamMessageRequest, example = json!({ "content": "Hello!" })),
    responses(
        (
            status = 200,
            description = "`user_message`, then a `chunk` for each part of the reply, with \
                an `activity` before and between them for what the agent does, then one `done` or \
                one `error`",
            content_type = "text/event-stream",
            body = ReplyStreamEvent,
            headers((
                "Idempotent-Replayed" = String,
                description = "`true` if an earlier call with this key has done it"
            )),
        ),
        BodyErrors,
        SendErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn stream(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    Extension(client): Extension<ClientContext>,
    trace: Option<Extension<TraceParent>>,
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<StreamMessageRequest>,
) -> Result<Response, ApiError> {
    let message = body.validate(key.as_deref())?;
    let caller = Caller { client, trace };
    let message = store(&state, session, caller, message, true).await?;
    let is_replayed = message.sent.replayed;
    Ok(mark_replayed(reply_stream(&state, message), is_replayed))
}

/// Who sends a message.
struct Caller {
    client: ClientContext,
    trace: Option<Extension<TraceParent>>,
}

async fn store(
    state: &ApiState,
    session: SessionRef,
    caller: Caller,
    message: NewMessage,
    is_streamed: bool,
) -> Result<SentMessage, ApiError> {
    let request = SendRequest {
        session,
        address: caller.client.address,
        trace: caller.trace.map(|Extension(trace)| trace),
        message,
        socket: None,
        is_streamed,
    };
    let sent = state.app.send(request).await;
    sent.map_err(|error| ApiError::from_app(error, Call::Send))
}

fn sent(message: &SentMessage, reply: Option<&Message>, now: Timestamp) -> Response {
    let sent = &message.sent;
    let user_message = UserMessage::from(message);
    let reply = reply.map(AgentResponse::from);
    let status = SessionStatus::new(&sent.session, sent.renewed, now);
    let answer = SentAnswer::new(&user_message, reply.as_ref(), &status);
    json(StatusCode::CREATED, &answer)
}

fn reply_stream(state: &ApiState, message: SentMessage) -> Response {
    let open = OpenGauge::new(&state.app.metrics().reply_streams);
    sse::response(sse::reply_events(message, state.app.now(), open))
}

/// List the messages of a session
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/{sessionId}/messages",
    operation_id = "getSessionMessages",
    tag = "messages",
    params(SessionPath, MessagePageQuery),
    responses(
        (
            status = 200,
            description = "A page of messages",
            body = MessageList<'_>,
            examples(
                ("messages" = (value = json!(examples::messages()))),
                ("agentFailed" = (value = json!(examples::messages_with_failure()))),
                ("none" = (value = json!(examples::no_messages()))),
            ),
        ),
        QueryErrors,
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    Query(query): Query<MessagePageQuery>,
) -> Result<Response, ApiError> {
    let request = query.validate()?;
    Ok(state.app.messages(&session, request, page).await?)
}

/// List the messages of a session, which may have expired
///
/// For administrators, and users for their own sessions. A session is its own channel.
#[utoipa::path(
    get,
    path = "/api/messaging/channels/{channelId}/messages",
    operation_id = "getChannelMessages",
    tag = "messages",
    params(
        ("channelId" = String, Path, description = "The session", format = Uuid),
        MessagePageQuery,
    ),
    responses(
        (
            status = 200,
            description = "A page of messages",
            body = MessageList<'_>,
            examples(
                ("messages" = (value = json!(examples::messages()))),
                ("agentFailed" = (value = json!(examples::messages_with_failure()))),
                ("none" = (value = json!(examples::no_messages()))),
            ),
        ),
        QueryErrors,
        AnySessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn transcript(
    State(state): State<ApiState>,
    SessionPath { session: channel }: SessionPath,
    Query(query): Query<MessagePageQuery>,
) -> Result<Response, ApiError> {
    let request = query.validate()?;
    Ok(state.app.transcript(&channel, request, page).await?)
}

fn page(session: &Session, page: &Page<&str>) -> Response {
    json(StatusCode::OK, &MessageList::new(session, page))
}
