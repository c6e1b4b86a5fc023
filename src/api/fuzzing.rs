//! What is read of requests, for fuzzers.

use axum::extract::FromRequestParts as _;
use axum::http::Request;
use serde_json::{Map, Value};

use super::handlers::messages;
use super::query::Parameters;

/// Reads a query string in every way.
pub(crate) fn query(text: &str) {
    let Ok(request) = Request::get(format!("/?{text}")).body(()) else {
        return;
    };
    let (mut parts, ()) = request.into_parts();
    let reading = Parameters::from_request_parts(&mut parts, &());
    let Some(Ok(parameters)) = futures_util::FutureExt::now_or_never(reading) else {
        return;
    };
    if let Ok(page) = parameters.messages() {
        assert!((1..=100).contains(&page.limit));
    }
    let _ = parameters.after();
    let _ = parameters.last_event_id();
    let _ = parameters.filter();
    let _ = parameters.session();
    if let Ok((_, Some(limit))) = parameters.sessions() {
        assert!((1..=1000).contains(&limit));
    }
}

/// Reads the transport of a message.
pub(crate) fn transport(fields: &Map<String, Value>) {
    let _ = messages::transport(fields);
}
