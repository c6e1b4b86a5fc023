//! Where an event stream starts.

use serde::Deserialize;
use utoipa::IntoParams;

use super::parameter::{Rounding, event_id, time};
use crate::api::dto::schemas;
use crate::app::error::ValidationError;
use crate::domain::time::Timestamp;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The same as the header, for clients that cannot send it
    #[param(inline, value_type = Option<schemas::EventId>)]
    pub(super) last_event_id: Option<String>,
    /// The time after which the stream starts
    #[param(inline, value_type = Option<schemas::Cursor>)]
    pub(super) after: Option<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct LastEventId {
    /// The id of the last event that the client has received
    #[param(inline, rename = "Last-Event-ID", value_type = Option<schemas::EventId>)]
    pub(crate) id: Option<String>,
}

impl EventsQuery {
    /// Returns where the client resumes: after the event of its header, else of `lastEventId`, else
    /// after the time of `after`. Only the first one that is not blank is read, and may be invalid.
    pub(crate) fn validate(
        &self,
        header: &LastEventId,
    ) -> Result<Option<Timestamp>, ValidationError> {
        for (name, text) in [
            ("Last-Event-ID", &header.id),
            ("lastEventId", &self.last_event_id),
        ] {
            if let Some(at) = event_id(name, text.as_deref())? {
                return Ok(Some(at));
            }
        }
        time("after", self.after.as_deref(), Rounding::Down)
    }
}
