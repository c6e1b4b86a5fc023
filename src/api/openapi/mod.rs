//! The description of the API, made from the handlers and their types.
//!
//! Handlers describe their requests and responses, the router adds access rules, and the examples
//! are what the server writes.

mod error_examples;
pub(super) mod examples;
mod headers;
pub(super) mod responses;
pub(super) mod sample;
mod streams;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod validator;

use serde_json::{Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use self::streams::StreamEvent;
use super::dto;
use super::sse;
use crate::client_events;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "sessiond",
        description = "A self-hosted, durable server of the ElizaOS Sessions API.\n\nBodies are \
            JSON in UTF-8. Times are RFC 3339 in UTC with milliseconds, ids are UUIDs. Unknown \
            fields of a request are ignored. Every response has an `X-Request-Id`, and all errors \
            have the same form: `error.message` is for people, `code` and `details` are for \
            programs. An unknown path is 404 with the code `NOT_FOUND`; a method that a path does \
            not support is 405 with the code `METHOD_NOT_ALLOWED`, and `Allow` lists its methods.",
    ),
    servers((url = "/", description = "The server that returns this document")),
    components(schemas(
        dto::Error,
        client_events::MessageBroadcast,
        client_events::ControlMessage,
        client_events::MessageStreamChunk,
        client_events::MessageActivity,
        client_events::MessageStreamError,
        client_events::MessageComplete,
        client_events::SessionRenewed,
        client_events::SessionUpdated,
        client_events::SessionExpirationWarning,
        client_events::SessionExpired,
        client_events::ChannelDeleted,
        client_events::State,
        sse::SentEvent,
        sse::ReplyChunk,
        sse::ReplyError,
        dto::TurnCancelled,
    )),
    tags(
        (name = "sessions", description = "Sessions between a user and an agent"),
        (name = "messages", description = "The messages of sessions, and their events"),
        (name = "agents", description = "The agents that reply"),
        (name = "operations", description = "The server itself"),
    ),
)]
struct Description;

/// Returns the description without paths. The router adds them.
pub(super) fn description() -> OpenApi {
    Description::openapi()
}

/// Returns the router's description as JSON, with everything that is shared or derived.
pub(super) fn document(description: &OpenApi) -> Value {
    let mut document = json!(description);
    // The empty requirement is for servers without authentication.
    document["security"] = json!([{}, { "bearer": [] }, { "apiKey": [] }]);
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "A token of the server, or the JWT of a user",
        },
        "apiKey": {
            "type": "apiKey", "name": "X-API-KEY", "in": "header",
            "description": "A token of the server",
        },
    });
    document["components"]["responses"] = responses::all();
    document["components"]["headers"] = headers::all();
    for (name, events) in streams::all() {
        streams::add_schemas(name, &events, &mut document["components"]["schemas"]);
        add_examples(name, &events, &mut document["paths"]);
    }
    simplify_optional_bodies(&mut document["paths"]);
    headers::add_request_id(&mut document);
    document
}

/// An optional body is described as required or null; generators understand `required: false`.
fn simplify_optional_bodies(paths: &mut Value) {
    for operation in headers::members(paths).flat_map(headers::members) {
        let schema = operation.pointer_mut("/requestBody/content/application~1json/schema");
        let alternatives = schema
            .as_deref()
            .and_then(|schema| schema.get("oneOf")?.as_array());
        let mut alternatives = alternatives.into_iter().flatten();
        let body = alternatives
            .find(|body| body.get("$ref").is_some())
            .cloned();
        if let (Some(schema), Some(body)) = (schema, body) {
            *schema = body;
            operation["requestBody"]["required"] = false.into();
        }
    }
}

fn add_examples(name: &str, events: &[StreamEvent], paths: &mut Value) {
    let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
    let operations = headers::members(paths).flat_map(headers::members);
    let responses = operations.flat_map(|operation| headers::members(&mut operation["responses"]));
    for response in responses {
        let media = response.pointer_mut("/content/text~1event-stream");
        if let Some(media) = media.filter(|media| media["schema"] == schema) {
            media["examples"] = streams::examples(events);
        }
    }
}
