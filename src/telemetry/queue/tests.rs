use std::sync::{Condvar, Mutex};
use std::time::Instant;

use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// A pipe that blocks until it is opened.
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

    /// Waits until it holds a text that passes a check.
    fn wait(&self, is_there: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !is_there(&self.text()) && start.elapsed() < Duration::from_mins(1) {
            thread::sleep(Duration::from_millis(5));
        }
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

/// Logs more than the queue for ordinary lines can hold.
fn overflow() {
    for number in 0..MAX_LINES + 1000 {
        tracing::info!(number, "a line");
    }
    tracing::info!(target: AUDIT, "what matters");
}

#[test]
fn logging_does_not_block_on_a_reader_that_does_not_read() {
    let pipe = Pipe::default();
    let (queues, log) = start(|| pipe.clone());
    let subscriber = tracing_subscriber::fmt().with_writer(queues).finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let started = Instant::now();
    overflow();
    drop(log);
    assert!(started.elapsed() < FLUSH_LIMIT + Duration::from_secs(30));
    assert_eq!(pipe.text(), "");
}

#[test]
fn a_full_queue_drops_no_audit_lines() {
    let pipe = Pipe::default();
    let (queues, log) = start(|| pipe.clone());
    let dropped = queues.others.usage.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(queues)
        .with_ansi(false);
    let subscriber = tracing_subscriber::registry().with(layer);
    let before = LOG_LINES_DROPPED.get();
    tracing::subscriber::with_default(subscriber, overflow);
    pipe.open();
    pipe.wait(|text| text.lines().count() > MAX_LINES);
    drop(log);
    let text = pipe.text();
    assert_eq!(text.matches("what matters").count(), 1);
    assert_eq!(text.matches("a line").count(), MAX_LINES);
    assert_eq!(dropped.dropped(), 1000);
    // Other tests of this process may count too.
    assert!(LOG_LINES_DROPPED.get() >= before + 1000);
}

#[test]
fn a_queue_is_bounded_in_bytes_however_long_its_lines_are() {
    const LINE: usize = 60_000;
    let pipe = Pipe::default();
    let (mut queue, guard) = Queue::start("log", pipe.clone());
    let line = [vec![b'x'; LINE - 1], vec![b'\n']].concat();
    for _ in 0..1000 {
        queue.write_all(&line).unwrap();
    }
    let taken = MAX_BYTES / LINE;
    assert_eq!(queue.usage.bytes.load(Ordering::Relaxed), taken * LINE);
    assert_eq!(queue.usage.dropped(), 1000 - taken as u64);

    pipe.open();
    pipe.wait(|text| text.len() == taken * LINE);
    // A line longer than the queue never fits; shorter ones do again.
    queue.write_all(&vec![b'y'; MAX_BYTES + 1]).unwrap();
    assert_eq!(queue.usage.dropped(), 1001 - taken as u64);
    queue.write_all(b"z\n").unwrap();
    drop(guard);
    assert_eq!(pipe.text().len(), taken * LINE + 2);
    assert_eq!(queue.usage.bytes.load(Ordering::Relaxed), 0);
}

/// An output whose device is full.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_the_output_refuses_are_counted_and_release_their_space() {
    let (mut queue, guard) = Queue::start("log", Full);
    for _ in 0..10 {
        queue.write_all(b"a line\n").unwrap();
    }
    drop(guard);
    assert_eq!(queue.usage.dropped(), 10);
    assert_eq!(queue.usage.bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn dropped_lines_are_reported_once() {
    let pipe = Pipe::default();
    pipe.open();
    let usage = Arc::new(Usage::default());
    let mut output = Output::new("log", io::sink(), Arc::clone(&usage));
    for _ in 0..7 {
        usage.count_dropped();
    }

    let to_pipe = pipe.clone();
    let log = tracing_subscriber::fmt()
        .with_writer(move || to_pipe.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(log, || {
        for _ in 0..2 {
            assert!(usage.reserve(8));
            output.write_all(b"another\n").unwrap();
        }
        output.flush().unwrap();
    });
    let text = pipe.text();
    assert_eq!(text.matches("were dropped").count(), 1, "{text}");
    assert!(text.contains("lines=7 "), "{text}");
}
