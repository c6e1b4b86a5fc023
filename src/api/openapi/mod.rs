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

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

use self::answers::Examples;
use super::router::endpoints;
use super::handlers::{admin, agents, events, health, messages, metrics, sessions, submit};
use super::sse;
use crate::guard::access::Access;
use crate::wire;

/// What stands above all calls.
#[derive(OpenApi)]
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
    paths(
        sessions::create,
        sessions::list,
        sessions::show,
        sessions::renew,
        sessions::patch_timeout,
        sessions::heartbeat,
        sessions::delete,
        messages::send,
        messages::stream,
        messages::list,
        messages::transcript,
        events::follow,
        agents::list,
        agents::show,
        submit::submit,
        admin::backup,
        admin::export,
        admin::storage,
        admin::verify,
        health::sessions,
        health::overall,
        health::alive,
        metrics::show,
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

/// `GET /openapi.json`
pub(super) async fn show() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));

    let mut response = Response::new(Body::from(TEXT.clone()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The whole description.
#[must_use]
fn document() -> Value {
    let mut document = Description::openapi();
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
    bodies::add_spellings(&mut schemas["SubmitRequest"]);
    for endpoint in endpoints() {
        let method = endpoint.method.as_str().to_ascii_lowercase();
        let paths = document["paths"].as_object_mut();
        let path = paths.and_then(|paths| paths.get_mut(endpoint.path));
        if let Some(operation) = path.and_then(|path| path.get_mut(&method)) {
            complete(operation, endpoint.access);
        }
    }
    headers::add_request_id(&mut document);
    document
}

/// Adds to whom a call is open, examples of what it answers, and the errors that it may answer
/// with.
fn complete(operation: &mut Value, access: Access) {
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let credentials: &[&str] = if access == Access::Public {
        operation["security"] = json!([]);
        &["Forbidden"]
    } else {
        &["Unauthorized", "Forbidden"]
    };
    for name in credentials.iter().copied().chain(errors::of(&id)) {
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
