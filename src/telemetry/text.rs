//! The text format of the log.

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

use super::audit::AUDIT;

/// Formats lines without their target, except audit lines, which are found by it.
#[derive(Debug)]
pub(super) struct Text {
    default: Format,
    audit: Format,
}

impl Text {
    pub(super) fn new() -> Self {
        Self {
            default: format().with_target(false),
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
        let is_audit = event.metadata().target() == AUDIT;
        let format = if is_audit { &self.audit } else { &self.default };
        format.format_event(context, writer, event)
    }
}
