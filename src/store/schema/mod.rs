//! The layout on disk: tables, records, indexes, counters, and how older layouts are brought to it.

pub(in crate::store) mod counters;
pub mod deadline;
pub(in crate::store) mod migrations;
pub(in crate::store) mod record;
pub(in crate::store) mod tables;
