//! Event streams, read as the HTML standard has it.
//!
//! A line is text once it is whole, so that a character may be cut in two by the packets that it
//! comes in; each byte is looked at once, and what is no text or too long ends the stream at once.
//! The library for this, eventsource-stream, looks at a line from its start again with each
//! packet, so that a line that never ends takes the square of its length.

use std::mem;

/// The longest line, and the most data of an event, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::agents) struct Event {
    /// Its name; empty where it has none.
    pub(in crate::agents) name: String,
    /// Its lines of data.
    pub(in crate::agents) data: String,
}

/// Reads the bytes of a stream as they come.
#[derive(Debug, Default)]
pub(in crate::agents) struct Parser {
    /// A line that is not whole yet.
    line: Vec<u8>,
    /// The event that is being read, and whether it has any data.
    event: Event,
    has_data: bool,
    /// Whether the last byte ended a line that a line feed may still belong to.
    after_return: bool,
    /// Whether a line was read.
    has_begun: bool,
}

impl Parser {
    /// Reads some more; the events that are whole now.
    pub(in crate::agents) fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, &'static str> {
        let mut events = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (part, rest) = bytes.split_at(end);
            let belongs_to_return = mem::take(&mut self.after_return) && end == 0;
            self.after_return = rest[0] == b'\r';
            bytes = &rest[1..];
            if belongs_to_return && !self.after_return {
                continue;
            }
            self.push(part)?;
            events.extend(self.end_line()?);
        }
        if !bytes.is_empty() {
            self.after_return = false;
            self.push(bytes)?;
        }
        Ok(events)
    }

    /// The last event of a stream that ended, which may lack the empty line after it.
    pub(in crate::agents) fn finish(&mut self) -> Result<Vec<Event>, &'static str> {
        self.feed(b"\n\n")
    }

    fn push(&mut self, part: &[u8]) -> Result<(), &'static str> {
        if self.line.len() + part.len() > MAX_BYTES {
            return Err("the stream has a line of more than 1 MiB");
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Event>, &'static str> {
        let line = mem::take(&mut self.line);
        let line = &*String::from_utf8_lossy(&line);
        let line = if mem::replace(&mut self.has_begun, true) {
            line
        } else {
            line.strip_prefix('\u{FEFF}').unwrap_or(line)
        };
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            return Ok(mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => self.add_data(value)?,
            // Not of the standard: llama.cpp told of failures so until October 2025.
            "error" => {
                "error".clone_into(&mut self.event.name);
                self.add_data(value)?;
            }
            // Comments, and what nobody here needs.
            _ => {}
        }
        Ok(None)
    }

    fn add_data(&mut self, value: &str) -> Result<(), &'static str> {
        let data = &mut self.event.data;
        if data.len() + value.len() > MAX_BYTES {
            return Err("the stream has an event of more than 1 MiB");
        }
        if mem::replace(&mut self.has_data, true) {
            data.push('\n');
        }
        data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    const STREAM: &str = "\u{FEFF}data: one\n\n: comment\n\ndata:two\ndata:  lines\n\n\
                          event: end\r\nid: 7\r\ndata: Grüße 😀\r\n\r\nevent: none\n\n\
                          data\rdata: x\r\rdata: last";

    fn events() -> [Event; 5] {
        [
            event("", "one"),
            event("", "two\n lines"),
            event("end", "Grüße 😀"),
            event("", "\nx"),
            event("", "last"),
        ]
    }

    #[test]
    fn a_stream_is_the_same_wherever_it_is_cut() {
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut parser = Parser::default();
            let mut read = Vec::new();
            for part in bytes.chunks(size) {
                read.extend(parser.feed(part).unwrap());
            }
            read.extend(parser.finish().unwrap());
            assert_eq!(read, events(), "in parts of {size}");
        }
    }

    #[test]
    fn a_failure_in_a_field_of_its_own_is_an_event() {
        let mut parser = Parser::default();
        let read = parser.feed(b"data: one\n\nerror: {\"code\":500}\n\n");
        assert_eq!(
            read.unwrap(),
            [event("", "one"), event("error", "{\"code\":500}")]
        );
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let events = Parser::default().feed(b"data: caf\xe9\n\n").unwrap();
        assert_eq!(events, [event("", "caf\u{fffd}")]);
    }

    #[test]
    fn what_is_too_long_is_refused_at_once() {
        let mut parser = Parser::default();
        let line = vec![b'x'; MAX_BYTES];
        assert!(parser.feed(&line).is_ok());
        assert!(parser.feed(b"x").is_err());
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &line[..MAX_BYTES / 2], b"\n"].concat();
        assert!(parser.feed(&line).is_ok());
        assert!(parser.feed(&line).is_ok());
        assert!(parser.feed(&line).is_err());
    }
}
