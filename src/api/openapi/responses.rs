//! The errors that calls answer with, each shown as the server really writes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

use super::error_examples::{self, ErrorResponse};
use super::headers;
use super::sample::NOW;

/// Defines groups of error responses, for the `responses(…)` of a handler.
macro_rules! groups {
    ($($(#[$doc:meta])* $group:ident: $($name:ident)+;)*) => {$(
        $(#[$doc])*
        pub(in crate::api) struct $group;

        impl IntoResponses for $group {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                references(&[$(stringify!($name)),+])
            }
        }
    )*};
}

groups! {
    /// What can be wrong with a query.
    QueryErrors: BadRequest;
    /// What can be wrong with a body.
    BodyErrors: BadRequest PayloadTooLarge UnsupportedMediaType;
    /// What can be wrong with a session that is used.
    SessionErrors: SessionNotFound SessionExpired;
    /// The same of a session that may have expired.
    AnySessionErrors: SessionNotFound;
    /// What can be wrong with the database.
    StorageErrors: InternalError Unavailable;
    /// An agent that does not exist.
    AgentErrors: AgentNotFound;
    /// What a repeat with the same idempotency key can meet.
    KeyErrors: IdempotencyConflict;
    /// What is limited by how often it is done.
    RateErrors: RateLimited;
    /// A session that cannot be renewed.
    RenewalErrors: RenewalFailed;
    /// What a message meets before its reply is waited for.
    SendErrors: SessionOrAgentNotFound SessionExpired IdempotencyConflict RateLimited;
    /// What a message meets while its reply is waited for.
    ReplyErrors: SessionExpiredWhileWaiting AgentFailed AgentTimedOut UnavailableWhileWaiting;
}

/// References to responses, by their statuses.
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

/// Every error response, by its name.
pub(super) fn all() -> Value {
    let responses: Map<_, _> = error_examples::all()
        .into_iter()
        .map(|response| (response.name.to_owned(), response.document()))
        .collect();
    responses.into()
}

impl ErrorResponse {
    fn document(self) -> Value {
        let mut examples = self.examples.iter();
        let has_retry_after = examples.any(|(_, error)| error.has_retry_after());
        let examples: Map<_, _> = self
            .examples
            .into_iter()
            .map(|(name, error)| (name.to_owned(), json!({ "value": error.document(NOW) })))
            .collect();
        let mut response = json!({
            "description": self.description,
            "headers": {},
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/ApiError" },
                "examples": examples,
            } },
        });
        if has_retry_after {
            headers::add(&mut response, "Retry-After");
        }
        response
    }
}
