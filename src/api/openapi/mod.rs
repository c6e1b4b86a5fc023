//! The description of the API, made from the handlers and from what they answer with.
//!
//! A handler's own annotation says what it takes and answers, the router's table to whom it is
//! open, and the examples are what the server writes.

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

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use self::streams::Stream;
use super::dto;
use super::sse;
use crate::client_events;

/// What stands above all calls.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "sessiond",
        description = "A self-hosted, durable server of the ElizaOS Sessions API.\n\nEverything is \
            JSON, in UTF-8. Times are RFC 3339 in UTC with milliseconds, ids are UUIDs. Unknown \
            fields of a request are ignored. Every answer carries `X-Request-Id`, and every error \
            has one form: `error.message` is for people, `code` and `details` are for programs. A \
            path that there is not is 404 with the code `NOT_FOUND`; a method that a path does not \
            have is 405 with the code `METHOD_NOT_ALLOWED`, and `Allow` names those that it has.",
    ),
    servers((url = "/", description = "The server that answers with this document")),
    components(schemas(
        dto::Error,
        client_events::MessageBroadcast,
        client_events::ControlMessage,
        client_events::MessageStreamChunk,
        client_events::MessageStreamError,
        client_events::MessageComplete,
        client_events::SessionRenewed,
        client_events::SessionExpirationWarning,
        client_events::SessionExpired,
        client_events::ChannelDeleted,
        client_events::State,
        sse::SentEvent,
        sse::ReplyChunk,
        sse::ReplyError,
    )),
    tags(
        (name = "sessions", description = "Sessions between a user and an agent"),
        (name = "messages", description = "What is said in them"),
        (name = "agents", description = "Who answers"),
        (name = "operations", description = "The server itself"),
    ),
)]
struct Description;

/// What stands above all calls; the router adds these.
pub(super) fn description() -> OpenApi {
    Description::openapi()
}

/// Completes the description of the router as JSON.
#[must_use]
pub(super) fn document(mut document: OpenApi) -> Value {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("A token of the server, or the JWT of a user"))
                .build(),
        ),
    );
    components.add_security_scheme(
        "apiKey",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "X-API-KEY",
            "A token of the server",
        ))),
    );
    let mut document = json!(document);
    // A server without any token asks nobody for one.
    document["security"] = json!([{}, { "bearer": [] }, { "apiKey": [] }]);
    document["components"]["responses"] = responses::all();
    document["components"]["headers"] = headers::all();
    for (name, stream) in streams::all() {
        stream.add_schemas(name, &mut document["components"]["schemas"]);
        add_examples(name, &stream, &mut document["paths"]);
    }
    headers::add_request_id(&mut document);
    document
}

/// Adds examples to the answers that are a stream.
fn add_examples(name: &str, stream: &Stream, paths: &mut Value) {
    let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
    let items = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = items
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut);
    let responses = operations.filter_map(|operation| operation["responses"].as_object_mut());
    for response in responses.flat_map(Map::values_mut) {
        let media = response.pointer_mut("/content/text~1event-stream");
        if let Some(media) = media.filter(|media| media["schema"] == schema) {
            media["examples"] = stream.examples();
        }
    }
}
