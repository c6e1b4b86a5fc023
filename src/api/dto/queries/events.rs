//! Where a stream of events begins.

use serde::Deserialize;
use utoipa::IntoParams;

use super::cursor::{Rounding, event_id, time};
use crate::api::dto::schemas;
use crate::app::error::ValidationError;
use crate::domain::time::Timestamp;

/// After what a stream of events begins.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The same for clients that cannot send the header
    #[param(inline, value_type = Option<schemas::EventId>)]
    pub(super) last_event_id: Option<String>,
    /// The time after which the stream begins
    #[param(inline, value_type = Option<schemas::Cursor>)]
    pub(super) after: Option<String>,
}

/// The `Last-Event-ID` header.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct LastEventId {
    /// The id of the last event that the client has
    #[param(inline, rename = "Last-Event-ID", value_type = Option<schemas::EventId>)]
    pub(crate) id: Option<String>,
}

impl EventsQuery {
    /// Where a client resumes: after the event of its header, else of `lastEventId`, else after the
    /// time of `after`. The first one that is not blank counts; nobody reads the others.
    ///
    /// # Errors
    /// That one is wrong.
    pub(crate) fn validate(
        &self,
        header: &LastEventId,
    ) -> Result<Option<Timestamp>, ValidationError> {
        if let Some(at) = event_id("Last-Event-ID", header.id.as_deref())? {
            return Ok(Some(at));
        }
        if let Some(at) = event_id("lastEventId", self.last_event_id.as_deref())? {
            return Ok(Some(at));
        }
        time("after", self.after.as_deref(), Rounding::Down)
    }
}
