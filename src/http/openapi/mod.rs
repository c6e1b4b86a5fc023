//! The description of the API, made from the handlers and from what they answer with.
//!
//! A handler's own annotation says where it is served and what it takes, and the router serves it
//! there; the errors are examples of the real ones.

pub(super) mod bodies;
mod errors;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};

/// Calls that need no credentials.
const OPEN: &[&str] = &[
    "getConsole",
    "getDocs",
    "getHealth",
    "getLiveness",
    "getOpenApi",
];

/// What stands above all calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "sessiond",
        description = "A self-hosted, durable server of the ElizaOS Sessions API.\n\nEverything is \
            JSON, in UTF-8. Times are RFC 3339 in UTC with milliseconds, ids are UUIDs. Unknown \
            fields of a request are ignored. Every answer carries `X-Request-Id`, and every error \
            has one form: `error.message` is for people, `code` and `details` are for programs.",
    ),
    components(schemas(bodies::Error)),
    tags(
        (name = "sessions", description = "Sessions between a user and an agent"),
        (name = "messages", description = "What is said in them"),
        (name = "agents", description = "Who answers"),
        (name = "operations", description = "The server itself"),
    ),
)]
struct Description;

/// The description before any call is in it.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// The description with what all calls have in common, as it is served.
pub(super) fn finish(mut document: utoipa::openapi::OpenApi) -> Value {
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
    document["paths"]["/openapi.json"] = own_path();
    for operation in operations(&mut document) {
        complete(operation);
    }
    document
}

/// The description's own place in itself.
fn own_path() -> Value {
    json!({ "get": {
        "operationId": "getOpenApi",
        "tags": ["operations"],
        "summary": "This description",
        "description": "As OpenAPI 3.1.",
        "responses": { "200": {
            "description": "The description",
            "content": { "application/json": { "schema": { "type": "object" } } },
        } },
    } })
}

/// The handler that serves a description.
pub(super) fn handler(document: Value) -> impl Fn() -> std::future::Ready<Response> + Clone {
    // Written out when it is first asked for.
    let text = Arc::new(std::sync::LazyLock::new(move || {
        Bytes::from(document.to_string())
    }));
    move || {
        let mut response = Response::new(Body::from(Bytes::clone(&text)));
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-cache"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        std::future::ready(response)
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut();
    paths
        .into_iter()
        .flat_map(|paths| paths.values_mut())
        .filter_map(Value::as_object_mut)
        .flat_map(|path| path.values_mut())
        .filter(|operation| operation["operationId"].is_string())
}

/// Adds the errors that a call may answer with.
fn complete(operation: &mut Value) {
    let id = operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let is_open = OPEN.contains(&id.as_str());
    if is_open {
        operation["security"] = json!([]);
    }
    let credentials: &[&str] = if is_open {
        &["Forbidden"]
    } else {
        &["Unauthorized", "Forbidden"]
    };
    for name in credentials.iter().chain(errors::of(&id)) {
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        operation["responses"][errors::status(name)] = reference;
    }
}
