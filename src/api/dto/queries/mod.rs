//! Query strings and headers with parameters.
//!
//! A struct holds the parameters as text; `validate` parses them.

mod events;
mod messages;
pub(super) mod parameter;
mod sessions;
#[cfg(test)]
mod tests;
mod work;

use serde::Deserialize;
use utoipa::IntoParams;

pub(crate) use self::events::{EventsQuery, LastEventId};
pub(crate) use self::messages::MessagePageQuery;
pub(crate) use self::sessions::{SessionListQuery, SessionPage};
pub(crate) use self::work::{AgentTurnsQuery, work_cursor};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Only this session
    #[param(format = Uuid)]
    pub(crate) session: Option<String>,
}
