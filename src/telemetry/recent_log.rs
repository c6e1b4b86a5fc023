//! The last warnings and errors of the log, in memory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Number, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::shorten::shorten_to;
use crate::clock::system_time;
use crate::domain::time::Timestamp;

/// How many lines are retained.
const MAX_LINES: usize = 200;

/// The longest text of a retained line, its message or the value of a field, in bytes.
const MAX_TEXT: usize = 2 * 1024;

/// The most that the texts of a retained line and its fields count for, in bytes: so all lines
/// together have at most 1.6 MiB. Further texts are cut, further fields left out.
const MAX_LINE: usize = 8 * 1024;

/// Overhead that is counted for each field beside its text, in bytes.
const FIELD_OVERHEAD: usize = 64;

/// The last 200 warnings and errors of the log. Clones share them.
///
/// As a layer, it retains what passes the filters of the subscriber, whether or not the output
/// takes the lines in time.
#[derive(Debug, Clone, Default)]
pub struct RecentLog(Arc<Mutex<VecDeque<Arc<LogLine>>>>);

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// When it was logged.
    pub at: Timestamp,
    /// Its level, `WARN` or `ERROR`.
    pub level: &'static str,
    /// Its message; empty if it has none.
    pub message: String,
    /// Its fields and those of the spans around it, each name once: strings, numbers and booleans.
    pub fields: Vec<(&'static str, Value)>,
}

/// The fields of a span, as they are in its extensions.
struct SpanFields(Vec<(&'static str, Value)>);

impl RecentLog {
    /// Returns the lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Arc<LogLine>> {
        self.lock().iter().cloned().collect()
    }

    /// Adds a line. The oldest one is dropped after the lock is released.
    fn push(&self, line: LogLine) {
        let line = Arc::new(line);
        let mut lines = self.lock();
        let is_full = lines.len() == MAX_LINES;
        let oldest = is_full.then(|| lines.pop_front());
        lines.push_back(line);
        drop(lines);
        drop(oldest);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<LogLine>>> {
        // No code panics, or logs, with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for RecentLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Recorded::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        let mut fields = Recorded::default();
        values.record(&mut fields);
        if let Some(SpanFields(recorded)) = span.extensions_mut().get_mut() {
            recorded.retain(|(name, _)| !fields.has(name));
            recorded.append(&mut fields.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = event.metadata().level();
        if *level > Level::WARN {
            return;
        }
        let mut fields = Recorded::default();
        event.record(&mut fields);
        // The innermost span first: its fields hide those of outer ones.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(of_span)) = span.extensions().get() {
                fields.add_all(of_span);
            }
        }
        self.push(LogLine {
            at: system_time(),
            level: level.as_str(),
            message: fields.message,
            fields: fields.fields,
        });
    }
}

/// Collects the fields of an event or a span, cut to what a line may have.
#[derive(Default)]
struct Recorded {
    message: String,
    fields: Vec<(&'static str, Value)>,
    /// What they count for, in bytes.
    bytes: usize,
}

impl Recorded {
    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(other, _)| *other == name)
    }

    /// Adds fields whose names are new.
    fn add_all(&mut self, fields: &[(&'static str, Value)]) {
        for (name, value) in fields {
            if self.has(name) {
                continue;
            }
            match value {
                Value::String(text) => self.add_text(name, text),
                value => self.add(name, value.clone()),
            }
        }
    }

    fn add_text(&mut self, name: &'static str, text: &str) {
        if name == "message" {
            self.message = self.cut(text);
        } else if self.reserve_field(name) {
            let text = self.cut(text);
            self.push(name, Value::String(text));
        }
    }

    fn add(&mut self, name: &'static str, value: Value) {
        if self.reserve_field(name) {
            self.push(name, value);
        }
    }

    /// Reserves space for a field without its text. Returns false if it is left out.
    fn reserve_field(&mut self, name: &str) -> bool {
        // These repeat where a line of the `log` crate comes from.
        if name.starts_with("log.") {
            return false;
        }
        self.bytes += FIELD_OVERHEAD;
        self.bytes <= MAX_LINE
    }

    fn push(&mut self, name: &'static str, value: Value) {
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.fields.push((name, value));
    }

    /// Cuts a text to what is left of the line.
    fn cut(&mut self, text: &str) -> String {
        let left = MAX_LINE.saturating_sub(self.bytes);
        let text = shorten_to(text, left.min(MAX_TEXT)).into_owned();
        self.bytes += text.len();
        text
    }
}

impl Visit for Recorded {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match Number::from_f64(value) {
            Some(number) => self.add(field.name(), number.into()),
            None => self.add_text(field.name(), &value.to_string()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_text(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;
    use tracing::{error, error_span, info, info_span, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Returns what is retained of what `work` logs.
    fn logged(work: impl FnOnce()) -> Vec<Arc<LogLine>> {
        let log = RecentLog::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        tracing::subscriber::with_default(subscriber, work);
        log.lines()
    }

    #[test]
    fn warnings_and_errors_are_retained_oldest_first() {
        let lines = logged(|| {
            warn!("first");
            info!("not this");
            error!(code = 7, "second");
            tracing::debug!("nor this");
        });
        let shown: Vec<_> = lines.iter().map(|it| (it.level, &*it.message)).collect();
        assert_eq!(shown, [("WARN", "first"), ("ERROR", "second")]);
    }

    #[test]
    fn fields_have_the_types_of_json() {
        let lines = logged(|| {
            let error: &dyn std::error::Error = &io::Error::other("a \"fault\"");
            warn!(
                text = "t\u{1b}[0m",
                shown = %1.5,
                debug = ?Some(1),
                error,
                r#type = true,
                integer = -1,
                natural = u64::MAX,
                large = u128::MAX,
                float = 0.25,
                nan = f64::NAN,
                absent = None::<u64>,
                "all kinds"
            );
        });
        let fields: serde_json::Map<_, _> = lines[0]
            .fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        assert_eq!(
            Value::Object(fields),
            json!({
                "text": "t\u{1b}[0m", "shown": "1.5", "debug": "Some(1)", "error": "a \"fault\"",
                "type": true, "integer": -1, "natural": u64::MAX, "large": u128::MAX.to_string(),
                "float": 0.25, "nan": "NaN",
            })
        );
    }

    #[test]
    fn fields_of_spans_are_added_and_inner_ones_win() {
        let lines = logged(|| {
            let outer = info_span!("outer", request_id = "r", name = "outer", later = 1);
            let _outer = outer.enter();
            outer.record("later", 2);
            let inner = error_span!("inner", name = "inner", size = 1);
            let _inner = inner.enter();
            warn!(size = 3, "inside");
        });
        assert_eq!(
            lines[0].fields,
            [
                ("size", json!(3)),
                ("name", json!("inner")),
                ("request_id", json!("r")),
                ("later", json!(2)),
            ]
        );
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        let long = "é".repeat(50_000);
        let lines = logged(|| {
            let span = info_span!("span", a = long, b = long);
            let _span = span.enter();
            for number in 0..500 {
                warn!(number, c = long, d = long, e = long, "{long}");
            }
        });
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines[0].fields[0], ("number", json!(300)));
        let line = &lines[0];
        assert!(
            line.message.ends_with("…(100000 bytes)"),
            "{}",
            line.message
        );
        let texts = line.fields.iter().filter_map(|(_, value)| value.as_str());
        let lengths: Vec<_> = texts.map(str::len).collect();
        let bytes = line.message.len() + lengths.iter().sum::<usize>();
        assert!(bytes < MAX_LINE + 100, "{bytes}: {lengths:?}");
        assert_eq!(lengths.len(), 3, "{lengths:?}");
    }

    #[test]
    fn a_value_may_log_while_it_is_formatted() {
        struct Chatty;

        impl fmt::Debug for Chatty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                warn!("inside");
                f.write_str("chatty")
            }
        }
        let lines = logged(|| warn!(value = ?Chatty, "outside"));
        assert_eq!(lines.last().unwrap().message, "outside");
    }
}
