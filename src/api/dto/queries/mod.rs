//! Query strings and headers with parameters.
//!
//! A struct holds the parameters as text; `validate` parses them.

mod events;
mod export;
mod messages;
pub(super) mod parameter;
mod sessions;
#[cfg(test)]
mod tests;
mod user;
mod work;

pub(crate) use self::events::{EventsQuery, LastEventId};
pub(crate) use self::export::ExportQuery;
pub(crate) use self::messages::MessagePageQuery;
pub(crate) use self::sessions::{SessionListQuery, SessionPage};
pub(crate) use self::user::ErasedUserQuery;
pub(crate) use self::work::{AgentTurnsQuery, work_cursor};
