//! Messages: sending them and reading them.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::api::dto::queries::MessagePageQuery;
use crate::api::dto::requests::{SendMessageRequest, StreamMessageRequest, Transport};
use crate::api::dto::schemas::ReplyStreamEvent;
use crate::api::dto::{self, MessageList, Sent};
use crate::api::error::{ApiError, Call};
use crate::api::extract::{ApiJson, ChannelPath, KeyHeader, Query, REPLAYED, SessionPath};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{
    AnySessionErrors, BodyErrors, QueryErrors, ReplyErrors, SendErrors, SessionErrors,
    StorageErrors,
};
use crate::api::sse;
use crate::api::state::ApiState;
use crate::app::error::AppError;
use crate::app::{NewMessage, Page, SendRequest, SentMessage, Target};
use crate::auth::ClientContext;
use crate::domain::session::Session;
use crate::metrics::Open;

/// `POST /api/messaging/sessions/{id}/messages`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/messages",
    operation_id = "sendSessionMessage",
    tag = "messages",
    summary = "Send a message",
    description = "The `transport` says how the reply comes. With a key, in the header or as `clientMessageId`, a repeat stores nothing: it joins the reply that is still coming, or answers from what is stored. The transport `sse` answers as `…/messages/stream` does, whose answer is of one kind.",
    params(SessionPath, KeyHeader),
    request_body(content = SendMessageRequest),
    responses(
        (
            status = 201,
            description = "The message is stored",
            body = dto::SentAnswer<'_>,
            headers(("Idempotent-Replayed" = String, description = "`true` where an earlier call with this key has done it")),
            examples(
                ("websocket" = (value = json!(examples::sent_by_websocket()))),
                ("http" = (value = json!(examples::sent_by_http()))),
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
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<SendMessageRequest>,
) -> Result<Response, ApiError> {
    let failed = |error: AppError| ApiError::of(error, Call::Send);
    let (transport, message) = body.validate(key.as_deref())?;
    let request = request(session, &client, message);
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
    params(SessionPath, KeyHeader),
    request_body(content = StreamMessageRequest),
    responses(
        (
            status = 200,
            description = "`user_message`, then a `chunk` for each piece of the reply, then one `done` or one `error`",
            content_type = "text/event-stream",
            body = ReplyStreamEvent,
            headers(("Idempotent-Replayed" = String, description = "`true` where an earlier call with this key has done it")),
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
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<StreamMessageRequest>,
) -> Result<Response, ApiError> {
    let message = body.validate(key.as_deref())?;
    let request = request(session, &client, message);
    let message = state.app.send(request).await;
    let message = message.map_err(|error| ApiError::of(error, Call::Send))?;
    let is_replayed = message.sent.replayed;
    Ok(marked_if(is_replayed, reply_stream(&state, message)))
}

fn request(session: Target, client: &ClientContext, message: NewMessage) -> SendRequest {
    SendRequest {
        session,
        address: client.address,
        message,
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

/// `GET /api/messaging/channels/{id}/messages`
#[utoipa::path(
    get,
    path = "/api/messaging/channels/{channelId}/messages",
    operation_id = "getChannelMessages",
    tag = "messages",
    summary = "List the messages of a session, also when it has expired",
    description = "For administrators. A session is its own channel.",
    params(ChannelPath, MessagePageQuery),
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
    ChannelPath { channel }: ChannelPath,
    Query(query): Query<MessagePageQuery>,
) -> Result<Response, ApiError> {
    let request = query.validate()?;
    Ok(state.app.transcript(&channel, request, page).await?)
}

fn page(session: &Session, page: &Page<&str>) -> Response {
    MessageList::new(session, page).respond()
}
