//! The way of a line to the standard output, on which nobody who has one to write ever waits.
//!
//! A pipe whose reader does not read keeps whoever writes to it waiting, for ever if need be. So
//! threads of their own write, behind queues of bounded length; what finds its queue full is lost
//! and counted. The audit's lines have a queue to themselves, which other lines cannot fill.

use std::io::{self, Write};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Metadata;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use crate::guard::AUDIT;

/// How many lines wait at most, in each of the queues: some megabytes.
const LONGEST: usize = 16 * 1024;

/// How long the lines that wait at the end are waited for.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How often it is told that lines are lost, where more are being lost all the time.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Where lines go in.
#[derive(Debug)]
pub(super) struct Queues {
    audit: NonBlocking,
    others: NonBlocking,
}

/// The threads that write. When it is dropped, what waits is written, if somebody reads.
#[must_use = "the log ends when it is dropped"]
#[derive(Debug)]
pub struct Log {
    guards: Option<[WorkerGuard; 2]>,
}

/// The queues of an output, of which each thread has its own handle.
pub(super) fn start<W: Write + Send + 'static>(output: impl Fn() -> W) -> (Queues, Log) {
    let (audit, audit_guard) = queue("log-audit", output());
    let (others, others_guard) = queue("log", output());
    let log = Log {
        guards: Some([audit_guard, others_guard]),
    };
    (Queues { audit, others }, log)
}

fn queue<W: Write + Send + 'static>(name: &'static str, output: W) -> (NonBlocking, WorkerGuard) {
    let lost = Arc::new(OnceLock::new());
    let output = Output {
        name,
        out: output,
        lost: Arc::clone(&lost),
        told: 0,
        told_at: None,
    };
    let (queue, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LONGEST)
        .thread_name(name)
        .finish(output);
    // Nothing has been written yet, and so nothing lost.
    let _ = lost.set(queue.error_counter());
    (queue, guard)
}

impl<'a> MakeWriter<'a> for Queues {
    type Writer = NonBlocking;

    fn make_writer(&'a self) -> NonBlocking {
        self.others.clone()
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> NonBlocking {
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
        // A thread of its own, since it may wait for a reader that there is not.
        let ending = thread::Builder::new().spawn(move || {
            drop(guards);
            drop(done);
        });
        if ending.is_ok() {
            let _ = is_done.recv_timeout(LAST_WORDS);
        }
    }
}

/// An output that tells how many lines have not reached it.
struct Output<W> {
    name: &'static str,
    out: W,
    lost: Arc<OnceLock<ErrorCounter>>,
    told: usize,
    told_at: Option<Instant>,
}

impl<W> Output<W> {
    /// By a line of the log itself: this is a thread like any other.
    fn tell(&mut self) {
        let lost = || self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        let lost_before = lost();
        if lost_before == self.told {
            return;
        }
        let lines = lost_before - self.told;
        tracing::warn!(
            lines,
            queue = self.name,
            "lines of the log were lost, since nobody read them in time"
        );
        self.told_at = Some(Instant::now());
        // Otherwise this one may be lost too, and they are told of again.
        if lost() == lost_before {
            self.told = lost_before;
        }
    }

    fn is_told_lately(&self) -> bool {
        self.told_at.is_some_and(|at| at.elapsed() < TELL_EVERY)
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.out.write(line);
        if !self.is_told_lately() {
            self.tell();
        }
        written
    }

    /// Nothing waits any more.
    fn flush(&mut self) -> io::Result<()> {
        self.tell();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A pipe that takes nothing until it is opened.
    #[derive(Debug, Clone, Default)]
    struct Pipe(Arc<Inner>);

    #[derive(Debug, Default)]
    struct Inner {
        is_open: Mutex<bool>,
        opened: Condvar,
        bytes: Mutex<Vec<u8>>,
    }

    impl Pipe {
        fn open(&self) {
            *self.0.is_open.lock().unwrap() = true;
            self.0.opened.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.bytes.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let is_open = self.0.is_open.lock().unwrap();
            let opened = &self.0.opened;
            drop(opened.wait_while(is_open, |is_open| !*is_open).unwrap());
            self.0.bytes.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Logs more than there is room for.
    fn overflow() {
        for number in 0..LONGEST + 1000 {
            tracing::info!(number, "a line");
        }
        tracing::info!(target: AUDIT, "what matters");
    }

    #[test]
    fn a_log_that_nobody_reads_keeps_nobody_waiting() {
        let pipe = Pipe::default();
        let (queues, log) = start(|| pipe.clone());
        let subscriber = tracing_subscriber::fmt().with_writer(queues).finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let started = Instant::now();
        overflow();
        drop(log);
        assert!(started.elapsed() < LAST_WORDS + Duration::from_secs(30));
        assert_eq!(pipe.text(), "");
    }

    #[test]
    fn what_is_lost_is_counted_and_the_audit_is_not() {
        let pipe = Pipe::default();
        let (queues, log) = start(|| pipe.clone());
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(queues)
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, overflow);
        let is_queued = |pipe: &Pipe| pipe.text().lines().count() > LONGEST;
        pipe.open();
        let started = Instant::now();
        while !is_queued(&pipe) && started.elapsed() < Duration::from_mins(1) {
            thread::sleep(Duration::from_millis(5));
        }
        drop(log);
        let text = pipe.text();
        assert_eq!(text.matches("what matters").count(), 1);
        assert!(text.matches("a line").count() >= LONGEST);
    }

    #[test]
    fn the_number_of_lost_lines_is_told_once() {
        let pipe = Pipe::default();
        pipe.open();
        let lost = Arc::new(OnceLock::new());
        let mut output = Output {
            name: "log",
            out: io::sink(),
            lost: Arc::clone(&lost),
            told: 0,
            told_at: None,
        };
        let stalled = Pipe::default();
        let (mut queue, _guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(1)
            .finish(stalled.clone());
        lost.set(queue.error_counter()).unwrap();
        for _ in 0..10 {
            queue.write_all(b"a line\n").unwrap();
        }
        let number = queue.error_counter().dropped_lines();
        assert!(number >= 7, "{number}");

        let to_pipe = pipe.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || to_pipe.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(log, || {
            output.write_all(b"another\n").unwrap();
            output.write_all(b"another\n").unwrap();
            output.flush().unwrap();
        });
        let text = pipe.text();
        assert_eq!(text.matches("were lost").count(), 1, "{text}");
        assert!(text.contains(&format!("lines={number} ")), "{text}");
        stalled.open();
    }
}
