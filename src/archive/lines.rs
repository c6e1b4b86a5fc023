//! Reading the lines of an export.

use std::io::{BufRead, Read as _};

use super::{MAX_LINE, parse};
use crate::domain::archive::Item;

/// Parses JSON Lines into items with their line numbers. Skips blank lines, and ends after the
/// first invalid one.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    is_over: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines from `input`.
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            is_over: false,
        }
    }

    /// Reads the next line. Returns `None` at the end.
    fn read(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        self.number += 1;
        let mut input = (&mut self.input).take(MAX_LINE as u64 + 1);
        let read = input.read_until(b'\n', &mut self.line);
        if read.map_err(|error| error.to_string())? == 0 {
            return Ok(None);
        }
        if self.line.len() > MAX_LINE {
            return Err(format!("it is longer than {MAX_LINE} bytes"));
        }
        let text = str::from_utf8(&self.line).map_err(|_| "it is not UTF-8")?;
        // Some programs write a byte order mark before the first line.
        Ok(Some(text.strip_prefix('\u{FEFF}').unwrap_or(text).trim()))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = (u64, Result<Item, String>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            let item = match self.read() {
                Ok(Some("")) => continue,
                Ok(Some(text)) => Some(parse(text)),
                Ok(None) => None,
                Err(reason) => Some(Err(reason)),
            };
            self.is_over = !matches!(item, Some(Ok(_)));
            return Some((self.number, item?));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELETED: &str =
        r#"{"type":"deleted","sessionId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44"}"#;

    fn lines(text: &str) -> Lines<&[u8]> {
        Lines::new(text.as_bytes())
    }

    #[test]
    fn lines_are_numbered_and_end_after_the_first_invalid_one() {
        let good = format!("{DELETED}\n\n").repeat(2);
        let numbers = |text: &str| -> Vec<u64> { lines(text).map(|(number, _)| number).collect() };
        assert_eq!(numbers(&good), [1, 3]);
        for bad in ["not an item".into(), "x".repeat(MAX_LINE + 1)] {
            assert_eq!(numbers(&format!("{good}{bad}\n{DELETED}")), [1, 3, 5]);
        }
        let mut bad = Lines::new(&b"\xff\n"[..]);
        let (number, item) = bad.next().unwrap();
        assert_eq!((number, item.unwrap_err().as_str()), (1, "it is not UTF-8"));
        assert!(bad.next().is_none());
    }

    #[test]
    fn a_byte_order_mark_before_the_first_line_is_skipped() {
        for text in [
            format!("\u{feff}{DELETED}\n"),
            format!("\u{feff}\r\n\u{feff}{DELETED}\r\n"),
        ] {
            let mut lines = lines(&text);
            let (_, item) = lines.next().unwrap();
            assert!(item.is_ok(), "{text:?}: {item:?}");
            assert!(lines.next().is_none());
        }
        assert!(lines("\u{feff}\n").next().is_none());
    }
}
