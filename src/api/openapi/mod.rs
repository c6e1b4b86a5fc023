//! The description of the API, made from the handlers and from what they answer with.
//!
//! A handler's own annotation says what it takes and answers, the router's table to whom it is
//! open, and the examples are what the server writes.

mod answers;
pub(super) mod bodies;
#[cfg(test)]
mod check;
mod errors;
mod examples;
mod headers;
pub(super) mod sample;
mod streams;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use self::answers::Examples;
use super::sse;
use crate::wire;

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
        bodies::Error,
        wire::MessageBroadcast,
        wire::ControlMessage,
        wire::MessageStreamChunk,
        wire::MessageStreamError,
        wire::MessageComplete,
        wire::SessionRenewed,
        wire::SessionExpirationWarning,
        wire::SessionExpired,
        wire::ChannelDeleted,
        wire::State,
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
    document["components"]["responses"] = errors::responses();
    document["components"]["headers"] = headers::all();
    let schemas = &mut document["components"]["schemas"];
    streams::of_replies().add_schemas("ReplyStreamEvent", schemas);
    streams::of_sessions().add_schemas("SessionStreamEvent", schemas);
    let paths = document["paths"].as_object_mut();
    let items = paths.into_iter().flat_map(Map::values_mut);
    for operation in items
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
    {
        complete(operation);
    }
    headers::add_request_id(&mut document);
    document
}

/// Adds examples of what a call answers, and the errors that it may answer with.
fn complete(operation: &mut Value) {
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for name in errors::of(&id) {
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        operation["responses"][errors::status(name)] = reference;
    }
    for (status, examples) in answers::of(&id) {
        let response = &mut operation["responses"][status];
        show_examples(response, &examples);
        // What an unhealthy service says of itself is an error like that of others.
        if status == "503" {
            headers::add(response, "Retry-After");
        }
    }
}

fn show_examples(response: &mut Value, examples: &Examples) {
    let examples = examples
        .iter()
        .map(|(name, value)| (*name, json!({ "value": value })));
    let examples: Value = examples.collect();
    let content = response["content"].as_object_mut();
    for media in content.into_iter().flat_map(Map::values_mut) {
        media["examples"] = examples.clone();
    }
}
