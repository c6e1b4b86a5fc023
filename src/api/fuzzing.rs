//! Entry points for fuzz targets: how requests are read.

use axum::extract::FromRequestParts as _;
use axum::http::Request;
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;

use super::dto::queries::{EventsQuery, LastEventId, MessagePageQuery, SessionListQuery};
use super::dto::requests::{
    CreateSessionRequest, SearchMessagesRequest, SendMessageRequest, StreamMessageRequest,
    SubmitRequest, TimeoutRequest,
};
use super::extract::{Query, read};
use crate::domain::message::{MAX_ATTACHMENTS_BYTES, MAX_METADATA_BYTES};
use crate::json;

/// Reads a query string as that of each call.
pub(crate) fn query(text: &str) {
    if let Ok(page) = parsed::<MessagePageQuery>(text).validate() {
        assert!((1..=100).contains(&page.limit));
    }
    let header = LastEventId {
        id: Some(text.to_owned()),
    };
    let _ = parsed::<EventsQuery>(text).validate(&header);
    let _ = parsed::<EventsQuery>(text).validate(&LastEventId { id: None });
    if let Ok(page) = parsed::<SessionListQuery>(text).validate() {
        assert!(page.limit.is_none_or(|limit| (1..=1000).contains(&limit)));
    }
}

fn parsed<T: DeserializeOwned + Default>(text: &str) -> T {
    let Ok(request) = Request::get(format!("/?{text}")).body(()) else {
        return T::default();
    };
    let (mut parts, ()) = request.into_parts();
    let reading = Query::from_request_parts(&mut parts, &());
    match reading.now_or_never() {
        Some(Ok(Query(query))) => query,
        _ => T::default(),
    }
}

/// Reads a body as that of each call.
pub(crate) fn body(text: &[u8]) {
    let created = read::<CreateSessionRequest>(text).map(|body| body.validate(None));
    if let Ok(Ok(created)) = created {
        assert!(json::is_same(
            Some(&created.metadata),
            Some(&created.metadata)
        ));
        let minutes = created.timeout.timeout_minutes;
        assert!(minutes.is_none_or(f64::is_finite));
    }
    let search = read::<SearchMessagesRequest>(text).map(|body| body.validate(None));
    if let Ok(Ok(search)) = search {
        assert!((1..=100).contains(&search.limit));
    }
    let sent = read::<StreamMessageRequest>(text).map(|body| body.validate(Some("key")));
    if let Ok(Ok(sent)) = sent {
        let (metadata, attachments) = (sent.body.metadata, sent.body.attachments);
        assert!(metadata.is_none_or(|text| text.len() <= MAX_METADATA_BYTES));
        assert!(attachments.is_none_or(|text| text.len() <= MAX_ATTACHMENTS_BYTES));
    }
    let _ = read::<SendMessageRequest>(text).map(|body| body.validate(None));
    let _ = read::<SubmitRequest>(text).map(|body| body.validate(None));
    if let Ok(body) = read::<TimeoutRequest>(text) {
        let _ = body.validate();
    }
}
