//! The layout on disk: tables, records, indexes, counters, migrations.

pub(crate) mod counters;
pub mod deadline;
pub(crate) mod migrations;
pub(crate) mod record;
pub(crate) mod tables;
