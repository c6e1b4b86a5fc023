//! The queues between those who log and the standard output, so that logging never blocks.
//!
//! A pipe that nobody reads blocks whoever writes to it, for ever if need be. So a thread for each
//! queue writes, and a line for which its queue has no space is dropped and counted. Queues are
//! bounded in bytes, since clients have a part in how long a line is. Audit lines have a queue of
//! their own, which no other line can fill.
//!
//! Threads and channels are tracing-appender's. It bounds its queues in lines alone, so the bound
//! in bytes stands here, before its channel and behind it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::AUDIT;
use super::throttle::LogThrottle;
use crate::metrics::LOG_LINES_DROPPED;

/// The size of each queue, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What a line takes of it at least, in bytes: its own size and what keeping it costs.
const MIN_LINE: usize = 512;

/// The lines that fit in at most: 16,384.
const MAX_LINES: usize = MAX_BYTES / MIN_LINE;

/// How long a stop waits until the queues are written.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// How often dropped lines are reported while more are being dropped.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The writers of the log.
#[derive(Debug)]
pub(super) struct Queues {
    audit: Queue,
    others: Queue,
}

/// A writer that never blocks. A clone writes to the same queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    lines: NonBlocking,
    usage: Arc<Usage>,
}

/// What a queue holds, and how many lines it had no space for.
#[derive(Debug, Default)]
struct Usage {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// The threads that write. Dropped, it waits up to 3 s until the queues are written.
#[must_use = "the log ends when it is dropped"]
#[derive(Debug)]
pub struct Log {
    guards: Option<[WorkerGuard; 2]>,
}

/// Starts the queues of an output, of which each thread gets a handle of its own.
pub(super) fn start<W: Write + Send + 'static>(output: impl Fn() -> W) -> (Queues, Log) {
    let (audit, audit_guard) = Queue::start("log-audit", output());
    let (others, others_guard) = Queue::start("log", output());
    let log = Log {
        guards: Some([audit_guard, others_guard]),
    };
    (Queues { audit, others }, log)
}

impl Queue {
    fn start<W: Write + Send + 'static>(name: &'static str, output: W) -> (Self, WorkerGuard) {
        let usage = Arc::new(Usage::default());
        let output = Output::new(name, output, Arc::clone(&usage));
        let (lines, guard) = NonBlockingBuilder::default()
            .lossy(true)
            // Never reached by lines; one more place for the message that ends the thread.
            .buffered_lines_limit(MAX_LINES + 1)
            .thread_name(name)
            .finish(output);
        (Self { lines, usage }, guard)
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Takes a line, whole or not at all.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if self.usage.reserve(line.len()) {
            return self.lines.write_all(line);
        }
        self.usage.count_dropped();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Usage {
    /// Takes the space of a line of so many bytes, where there is so much.
    fn reserve(&self, line: usize) -> bool {
        let more = |bytes: usize| {
            let bytes = bytes.saturating_add(line.max(MIN_LINE));
            (bytes <= MAX_BYTES).then_some(bytes)
        };
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Gives back what [`reserve`](Self::reserve) took for a line.
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

impl Drop for Log {
    fn drop(&mut self) {
        let guards = self.guards.take();
        let (done, is_done) = mpsc::channel::<()>();
        // On a thread of its own, since nobody may be reading the output.
        let ending = thread::Builder::new().spawn(move || {
            drop(guards);
            drop(done);
        });
        if ending.is_ok() {
            let _ = is_done.recv_timeout(FLUSH_LIMIT);
        }
    }
}

/// The end of a queue: writes its lines, and reports how many were dropped.
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
            throttle: LogThrottle::new(REPORT_EVERY),
        }
    }

    /// By a line of the log itself: this thread may log as any other.
    fn report(&mut self) {
        let dropped = self.usage.dropped();
        if dropped == self.reported {
            return;
        }
        let lines = dropped - self.reported;
        tracing::warn!(
            lines,
            queue = self.name,
            "log lines were dropped: the output did not take them in time"
        );
        self.throttle.logged();
        // Otherwise this line may have been dropped too, and they are reported again.
        if self.usage.dropped() == dropped {
            self.reported = dropped;
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    /// Writes a line, which leaves the queue, also where the output fails.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.out.write_all(line);
        self.usage.release(line.len());
        if written.is_err() {
            self.usage.count_dropped();
        }
        if self.throttle.is_due() {
            self.report();
        }
        written
    }

    /// The queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        self.report();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
