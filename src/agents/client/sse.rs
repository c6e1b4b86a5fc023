//! Parses event streams, as the HTML standard defines them.
//!
//! Lines are decoded when they are complete, so that packets may split characters. Each byte is
//! examined once, and a stream that is too long fails at once. The library eventsource-stream
//! parses a line from its start again with each packet, which makes long lines quadratic.

use std::mem;

/// The limit of a line, and of an event's data, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// Empty if the stream names none.
    pub(crate) name: String,
    /// The lines of data.
    pub(crate) data: String,
    /// The id, if the event has one.
    pub(crate) id: Option<String>,
}

/// Parses a stream packet by packet.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The incomplete line.
    line: Vec<u8>,
    /// The incomplete event, and whether it has data.
    event: SseEvent,
    has_data: bool,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
    /// Whether a line is complete.
    has_begun: bool,
}

impl Parser {
    /// Parses the next bytes; returns the events that are complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<SseEvent>, &'static str> {
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

    /// Ends the stream; returns its last event, which may lack the empty line after it.
    pub(crate) fn finish(&mut self) -> Result<Vec<SseEvent>, &'static str> {
        self.feed(b"\n\n")
    }

    fn push(&mut self, part: &[u8]) -> Result<(), &'static str> {
        if self.line.len() + part.len() > MAX_BYTES {
            return Err("the stream has a line of more than 1 MiB");
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<SseEvent>, &'static str> {
        let line = mem::take(&mut self.line);
        let mut line = &*String::from_utf8_lossy(&line);
        if !mem::replace(&mut self.has_begun, true) {
            line = line.strip_prefix('\u{FEFF}').unwrap_or(line);
        }
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            return Ok(mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => self.add_data(value)?,
            "id" => self.event.id = Some(value.to_owned()),
            // Not in the standard: llama.cpp reported errors so until October 2025.
            "error" => {
                "error".clone_into(&mut self.event.name);
                self.add_data(value)?;
            }
            // Comments and unused fields.
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

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent {
            name: name.to_owned(),
            data: data.to_owned(),
            id: None,
        }
    }

    const STREAM: &str = "\u{FEFF}data: one\n\n: comment\n\ndata:two\ndata:  lines\n\n\
                          event: end\r\nid: 7\r\ndata: Grüße 😀\r\n\r\nevent: none\n\n\
                          data\rdata: x\r\rdata: last";

    fn events() -> [SseEvent; 5] {
        [
            event("", "one"),
            event("", "two\n lines"),
            SseEvent {
                id: Some("7".to_owned()),
                ..event("end", "Grüße 😀")
            },
            event("", "\nx"),
            event("", "last"),
        ]
    }

    #[test]
    fn packets_may_split_a_stream_anywhere() {
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
    fn an_error_field_is_an_event() {
        let mut parser = Parser::default();
        let read = parser.feed(b"data: one\n\nerror: {\"code\":500}\n\n");
        assert_eq!(
            read.unwrap(),
            [event("", "one"), event("error", "{\"code\":500}")]
        );
    }

    #[test]
    fn invalid_utf_8_is_replaced() {
        let events = Parser::default().feed(b"data: caf\xe9\n\n").unwrap();
        assert_eq!(events, [event("", "caf\u{fffd}")]);
    }

    #[test]
    fn long_lines_and_events_are_refused() {
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
