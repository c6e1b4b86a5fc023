//! The lines of an export, read and parsed by a thread of their own, ahead of who takes them.

use std::io::{self, BufRead, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::archive::{self, MAX_LINE};
use crate::store::import::Line;

/// A batch has no more lines, and but for the last of them no more bytes.
const BATCH_LINES: usize = 256;
const BATCH_BYTES: usize = 256 << 10;

/// How many batches may wait.
const BATCHES_AHEAD: usize = 8;

/// The items of an input in their order, each with its line's number. Empty lines are none, and
/// the first bad line is the last.
pub(super) struct Lines {
    batches: Receiver<Vec<Line>>,
    batch: std::vec::IntoIter<Line>,
    last: u64,
    is_over: bool,
}

impl Lines {
    /// Begins to read. Nobody waits for the thread, which may wait for its input for ever.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn new(input: impl BufRead + Send + 'static) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_AHEAD);
        let reader = Reader {
            input,
            number: 0,
            is_over: false,
        };
        thread::Builder::new()
            .name("import-lines".into())
            .spawn(move || reader.run(&sender))?;
        Ok(Self {
            batches,
            batch: Vec::new().into_iter(),
            last: 0,
            is_over: false,
        })
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.batch.next() {
                self.last = line.0;
                return Some(line);
            }
            if self.is_over {
                return None;
            }
            match self.batches.recv() {
                // An empty batch is the end of the input. Where there is none, the end is not known.
                Ok(batch) if batch.is_empty() => self.is_over = true,
                Ok(batch) => self.batch = batch.into_iter(),
                Err(_) => {
                    self.is_over = true;
                    return Some((self.last + 1, Err("its reader has failed".into())));
                }
            }
        }
    }
}

struct Reader<R> {
    input: R,
    number: u64,
    is_over: bool,
}

impl<R: BufRead> Reader<R> {
    fn run(mut self, sender: &SyncSender<Vec<Line>>) {
        loop {
            let batch = self.batch();
            let is_last = batch.is_empty();
            // Whoever has met an error takes no more.
            if sender.send(batch).is_err() || is_last {
                return;
            }
        }
    }

    fn batch(&mut self) -> Vec<Line> {
        let mut batch = Vec::with_capacity(BATCH_LINES);
        let mut bytes = 0;
        while !self.is_over && batch.len() < BATCH_LINES && bytes < BATCH_BYTES {
            self.number += 1;
            let item = match self.read() {
                Ok(None) => {
                    self.is_over = true;
                    break;
                }
                Ok(Some(line)) => {
                    let text = without_mark(&line).trim();
                    if text.is_empty() {
                        continue;
                    }
                    bytes += line.len();
                    archive::parse(text)
                }
                Err(reason) => Err(reason),
            };
            self.is_over = item.is_err();
            batch.push((self.number, item));
        }
        batch
    }

    fn read(&mut self) -> Result<Option<String>, String> {
        let mut bytes = Vec::new();
        let mut input = (&mut self.input).take(MAX_LINE as u64 + 1);
        let read = input.read_until(b'\n', &mut bytes);
        if read.map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        if bytes.len() > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "it is not UTF-8".to_owned())
    }
}

/// A line without a byte order mark, which some programs put before the first one.
fn without_mark(line: &str) -> &str {
    line.strip_prefix('\u{FEFF}').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    struct Panicking;

    impl io::Read for Panicking {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
    }

    fn numbers(text: String) -> Vec<u64> {
        let lines = Lines::new(io::Cursor::new(text)).unwrap();
        lines.map(|(number, _)| number).collect()
    }

    #[test]
    fn lines_come_in_order_with_their_numbers_to_the_first_bad_one() {
        let deleted = r#"{"type":"deleted","sessionId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44"}"#;
        let mut text = format!("{deleted}\n\n").repeat(2 * BATCH_LINES);
        let good: Vec<u64> = (0..2 * BATCH_LINES as u64)
            .map(|line| 2 * line + 1)
            .collect();
        assert_eq!(numbers(text.clone()), good);
        text.push_str("no item\n");
        text.push_str(deleted);
        let bad = [good, vec![4 * BATCH_LINES as u64 + 1]].concat();
        assert_eq!(numbers(text), bad);
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_skipped() {
        let deleted = r#"{"type":"deleted","sessionId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44"}"#;
        for text in [
            format!("\u{feff}{deleted}\n"),
            format!("\u{feff}\r\n\u{feff}{deleted}\r\n"),
        ] {
            let mut lines = Lines::new(io::Cursor::new(text.clone())).unwrap();
            let (_, item) = lines.next().unwrap();
            assert!(item.is_ok(), "{text:?}: {item:?}");
            assert!(lines.next().is_none());
        }
        assert_eq!(numbers("\u{feff}\n".to_owned()), [0_u64; 0]);
    }

    #[test]
    fn a_reader_that_fails_is_no_end() {
        let mut lines = Lines::new(BufReader::new(Panicking)).unwrap();
        assert!(lines.next().is_some_and(|(_, item)| item.is_err()));
        assert!(lines.next().is_none());
    }
}
