//! Reading: snapshots, and the queries.
//!
//! Each query reads from one snapshot. Queries are async because a store may have to wait for its
//! answer; this one reads its file at once, so each is ready immediately. Every query fails with a
//! [`ReadError`](super::error::ReadError) if the database cannot be read, and, where its
//! documentation says so, on a record that cannot be decoded.

#![expect(
    clippy::unused_async,
    reason = "callers assume nothing about where the data is"
)]
#![expect(clippy::missing_errors_doc, reason = "the errors are the same for all")]

pub(crate) mod deadlines;
pub(crate) mod history;
pub(crate) mod message_page;
pub(crate) mod message_time;
pub(crate) mod previews;
pub(crate) mod reader;
pub(crate) mod search;
pub(crate) mod sessions;
pub(crate) mod snapshot;
pub(crate) mod storage;
pub(crate) mod turns;
pub(crate) mod waiting;
