//! What a handler gets of a request, each refused in the API's own error form.

mod json;
mod params;

use axum::http::HeaderName;

pub(super) use self::json::ApiJson;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) use self::json::read;
pub(super) use self::params::{AgentPath, ChannelPath, KeyHeader, Query, SessionPath};

/// Says that a call with an idempotency key was answered from what an earlier one did.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
