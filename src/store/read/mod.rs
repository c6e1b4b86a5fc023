//! Reading: snapshots, and the queries over them.

pub(in crate::store) mod history;
pub(in crate::store) mod message_page;
pub(in crate::store) mod query;
pub(in crate::store) mod reader;
pub(in crate::store) mod snapshot;
