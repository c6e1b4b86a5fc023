//! What a handler's extractors read beside the request. It goes to them as the handler's state: as
//! extensions of the request, each part of it would take some allocations.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::FromRef;

use super::router::ApiState;
use crate::guard::ClientContext;
use crate::guard::connections::Connection;

/// What is known of a call.
#[derive(Debug)]
pub(super) struct Call {
    /// What the handlers share.
    pub(super) state: ApiState,
    /// Who calls, and from where.
    pub(super) visitor: ClientContext,
    /// The variable part of the path; empty where it has none.
    pub(super) name: String,
    /// Where the request comes on, if it has a body to wait for.
    pub(super) connection: Option<Arc<Connection>>,
}

impl FromRef<Call> for ApiState {
    fn from_ref(call: &Call) -> Self {
        call.state.clone()
    }
}

/// Reads a part of a path. What is not even text is no id, and so simply not found.
pub(super) fn decode(part: &str) -> String {
    if !part.contains('%') {
        return part.to_owned();
    }
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    decoded.map_or_else(|_| "(not UTF-8)".to_owned(), Cow::into_owned)
}
