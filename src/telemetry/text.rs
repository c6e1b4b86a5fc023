//! Lines for people.

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

use super::AUDIT;

/// Lines without their target, but for those of the audit, which are looked for by it.
#[derive(Debug)]
pub(super) struct Text {
    usual: Format,
    audit: Format,
}

impl Text {
    pub(super) fn new() -> Self {
        Self {
            usual: format().with_target(false),
            audit: format(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let format = match event.metadata().target() {
            AUDIT => &self.audit,
            _ => &self.usual,
        };
        format.format_event(context, writer, event)
    }
}
