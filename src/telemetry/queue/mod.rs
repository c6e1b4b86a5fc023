//! The queues between the log and standard output, so that logging never blocks.
//!
//! A pipe that no one reads blocks its writers, possibly for ever. So a thread per queue writes,
//! and a line that does not fit into its queue is dropped and counted. Queues are bounded in bytes,
//! since clients influence the length of lines. Audit lines have their own queue, which no other
//! line can fill.
//!
//! Threads and channels are tracing-appender's. It bounds its channel only in lines, so the bound
//! in bytes is checked here: before the channel and after it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::audit::AUDIT;
use super::recent_log::RecentLog;
use super::throttle::LogThrottle;
use crate::metrics::LOG_LINES_DROPPED;

/// The size of each queue, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The least that a line counts for, in bytes: its text and the overhead of storing it.
const MIN_LINE: usize = 512;

/// The most lines that fit into a queue: 16,384.
const MAX_LINES: usize = MAX_BYTES / MIN_LINE;

/// How long a stop waits for the queues to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// How often dropped lines are reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The queues of the log.
#[derive(Debug)]
pub(super) struct Queues {
    audit: Queue,
    others: Queue,
}

/// A writer that never blocks. Clones write to the same queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    lines: NonBlocking,
    usage: Arc<Usage>,
}

/// The bytes in a queue, and the number of lines that were dropped.
#[derive(Debug, Default)]
struct Usage {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// The writing threads. Dropping it waits up to 3 s for them to write the queues.
#[must_use = "the log ends when it is dropped"]
#[derive(Debug)]
pub struct LogGuard {
    guards: Option<[WorkerGuard; 2]>,
    recent: RecentLog,
}

/// Starts the queues. Each thread gets its own handle of the output.
pub(super) fn start<W: Write + Send + 'static>(output: impl Fn() -> W) -> (Queues, LogGuard) {
    let (audit, audit_guard) = Queue::start("log-audit", output());
    let (others, others_guard) = Queue::start("log", output());
    let log = LogGuard {
        guards: Some([audit_guard, others_guard]),
        recent: RecentLog::default(),
    };
    (Queues { audit, others }, log)
}

impl Queue {
    fn start<W: Write + Send + 'static>(name: &'static str, output: W) -> (Self, WorkerGuard) {
        let usage = Arc::new(Usage::default());
        let (lines, guard) = NonBlockingBuilder::default()
            .lossy(true)
            // The bound in bytes comes first; one more slot for the message that ends the thread.
            .buffered_lines_limit(MAX_LINES + 1)
            .thread_name(name)
            .finish(Output::new(name, output, Arc::clone(&usage)));
        (Self { lines, usage }, guard)
    }
}

impl Write for Queue {
    /// Queues a whole line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.usage.reserve(line.len()) {
            self.lines.write_all(line)?;
        } else {
            self.usage.count_dropped();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Usage {
    /// Reserves space for a line of this many bytes. Returns false if there is not enough.
    fn reserve(&self, line: usize) -> bool {
        let reserved = |bytes: usize| {
            let bytes = bytes.saturating_add(line.max(MIN_LINE));
            (bytes <= MAX_BYTES).then_some(bytes)
        };
        let relaxed = Ordering::Relaxed;
        self.bytes.fetch_update(relaxed, relaxed, reserved).is_ok()
    }

    /// Releases the space of a line.
    fn release(&self, line: usize) {
        self.bytes.fetch_sub(line.max(MIN_LINE), Ordering::Relaxed);
    }

    fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        LOG_LINES_DROPPED.inc();
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl<'a> MakeWriter<'a> for Queues {
    type Writer = Queue;

    fn make_writer(&'a self) -> Queue {
        self.others.clone()
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Queue {
        match line.target() {
            AUDIT => self.audit.clone(),
            _ => self.others.clone(),
        }
    }
}

impl LogGuard {
    /// Returns the last warnings and errors.
    #[must_use]
    pub fn recent(&self) -> &RecentLog {
        &self.recent
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let guards = self.guards.take();
        let (done, is_done) = mpsc::channel::<()>();
        // On another thread, since the output may block.
        let ending = thread::Builder::new().spawn(move || drop((guards, done)));
        if ending.is_ok() {
            let _ = is_done.recv_timeout(FLUSH_LIMIT);
        }
    }
}

/// The reading end of a queue: writes its lines, and reports how many were dropped.
struct Output<W> {
    name: &'static str,
    out: W,
    usage: Arc<Usage>,
    reported: u64,
    throttle: LogThrottle,
}

impl<W> Output<W> {
    fn new(name: &'static str, out: W, usage: Arc<Usage>) -> Self {
        Self {
            name,
            out,
            usage,
            reported: 0,
            throttle: LogThrottle::new(REPORT_INTERVAL),
        }
    }

    /// Reports dropped lines in the log itself.
    fn report(&mut self) {
        let dropped = self.usage.dropped();
        if dropped == self.reported {
            return;
        }
        tracing::warn!(
            lines = dropped - self.reported,
            queue = self.name,
            "log lines were dropped: the output did not take them in time"
        );
        self.throttle.logged();
        // If the report itself may have been dropped, the next one repeats it.
        if self.usage.dropped() == dropped {
            self.reported = dropped;
        }
    }
}

impl<W: Write> Write for Output<W> {
    /// Writes a whole line and releases its space, even if the output fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.out.write_all(line);
        self.usage.release(line.len());
        if written.is_err() {
            self.usage.count_dropped();
        }
        if self.throttle.is_due() {
            self.report();
        }
        written.map(|()| line.len())
    }

    /// Called when the queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.report();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
