//! The last warnings and errors of the log.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::schemas;
use crate::domain::time::Timestamp;
use crate::telemetry;

/// The last warnings and errors of the log, oldest first.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct LogAnswer<'a> {
    entries: Vec<LogEntry<'a>>,
}

/// A line of the log.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct LogEntry<'a> {
    /// When it was logged, by the system's clock.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `WARN` or `ERROR`.
    #[schema(value_type = schemas::LogLevel)]
    level: &'static str,
    /// Its text; may be empty.
    message: &'a str,
    /// Its fields and those of the request to which it belongs, such as `request_id`.
    #[schema(value_type = HashMap<String, schemas::LogValue>)]
    fields: Map<String, Value>,
}

impl<'a> LogAnswer<'a> {
    pub(in crate::api) fn new(lines: impl IntoIterator<Item = &'a telemetry::LogLine>) -> Self {
        Self {
            entries: lines.into_iter().map(LogEntry::from).collect(),
        }
    }
}

impl<'a> From<&'a telemetry::LogLine> for LogEntry<'a> {
    fn from(line: &'a telemetry::LogLine) -> Self {
        let fields = line.fields.iter();
        Self {
            at: line.at,
            level: line.level,
            message: &line.message,
            fields: fields
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }
}
