//! The query strings of requests, and the other parameters that stand beside a body.
//!
//! A struct holds what was sent, as text; `validate` judges it.

mod cursor;
mod events;
mod messages;
mod sessions;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use utoipa::IntoParams;

pub(crate) use self::events::{EventsQuery, LastEventId};
pub(crate) use self::messages::MessagePageQuery;
pub(crate) use self::sessions::{SessionListQuery, SessionPage};

/// What an export is to hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Only this session
    #[param(format = Uuid)]
    pub(crate) session: Option<String>,
}
