//! The error responses, each with examples that are made as the server makes its errors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

use super::error_examples::{self, ExampleResponse};
use super::headers;
use super::sample::NOW;

/// Defines groups of error responses, for the `responses(…)` of a handler.
macro_rules! groups {
    ($($group:ident: $($name:ident)+;)*) => {$(
        pub(in crate::api) struct $group;

        impl IntoResponses for $group {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                references(&[$(stringify!($name)),+])
            }
        }
    )*};
}

groups! {
    QueryErrors: BadRequest;
    BodyErrors: BadRequest PayloadTooLarge UnsupportedMediaType;
    SessionErrors: SessionNotFound SessionExpired;
    // Of calls that accept an expired session.
    AnySessionErrors: SessionNotFound;
    ImportErrors: BadRequest SessionExists ImportTooLarge UnsupportedLines;
    StorageErrors: InternalError Unavailable;
    AgentErrors: AgentNotFound;
    CreateErrors: AgentOrSourceNotFound;
    KeyErrors: IdempotencyConflict;
    SubmitErrors: TurnClosed;
    RateErrors: RateLimited;
    ProbeErrors: Unavailable;
    RenewalErrors: RenewalFailed;
    SendErrors: SessionOrAgentNotFound SessionExpired IdempotencyConflict RateLimited;
    // While a call waits for the reply.
    ReplyErrors: SessionExpiredWhileWaiting TurnCancelled AgentFailed AgentTimedOut UnavailableWhileWaiting;
}

/// Returns references to responses, by their statuses.
fn references(names: &[&'static str]) -> BTreeMap<String, RefOr<Response>> {
    let all = error_examples::all();
    let references = names.iter().filter_map(|name| {
        let response = all.iter().find(|response| response.name == *name)?;
        let (_, example) = response.examples.first()?;
        let status = example.status().as_str().to_owned();
        Some((status, Ref::from_response_name(*name).into()))
    });
    references.collect()
}

pub(super) fn all() -> Value {
    let responses = error_examples::all().into_iter();
    responses
        .map(|response| (response.name.to_owned(), document(&response)))
        .collect()
}

fn document(response: &ExampleResponse) -> Value {
    let examples = response.examples.iter();
    let examples: Map<_, _> = examples
        .map(|(name, error)| ((*name).to_owned(), json!({ "value": error.document(NOW) })))
        .collect();
    let mut document = json!({
        "description": response.description,
        "headers": {},
        "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/ApiError" },
            "examples": examples,
        } },
    });
    if response
        .examples
        .iter()
        .any(|(_, error)| error.has_retry_after())
    {
        headers::add(&mut document, "Retry-After");
    }
    document
}
