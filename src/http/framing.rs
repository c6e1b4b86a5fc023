//! A watch over where requests begin and end, for one thing that hyper lets pass: a request with
//! both a `Content-Length` and a `Transfer-Encoding`. hyper reads it as chunked and hides the
//! other header, but a proxy in front may have gone by the length and then takes the rest of the
//! body for the next request (RFC 9112, 11.2). Such a request is refused.
//!
//! All else about framing is hyper's to judge, but where the watch could lose its place, by a length
//! that it cannot read or a line's end that hyper sees elsewhere, it refuses too: otherwise that would
//! be the way around it. After an upgrade it goes on looking; the frames of a WebSocket are masked by
//! chance, so that only a client who means to finds itself refused.

/// More of a line that comes in pieces is not kept.
const MAX_LINE_BYTES: usize = 256;

/// More digits than the size of a chunk needs.
const MAX_SIZE_DIGITS: usize = 16;

/// Follows the bytes of one connection, in whatever pieces they come.
#[derive(Default)]
pub(super) struct Framing {
    place: Place,
    /// The line that has begun in an earlier piece.
    line: Vec<u8>,
    head: Head,
}

/// What comes next on the connection.
#[derive(Default, Clone, Copy)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body, or of a chunk with the line's end behind it.
    Body {
        left: u64,
        chunked: bool,
    },
    ChunkSize,
    Trailers,
    /// Nothing that may be read.
    Refused,
}

/// What is known of the head that is being read.
#[derive(Default, Clone, Copy)]
struct Head {
    begun: bool,
    length: Option<u64>,
    chunked: bool,
}

/// The request is not to be read.
struct Refused;

impl Framing {
    /// Looks at the next bytes. `Some` is how many of them may be read: nothing from there on.
    pub(super) fn look_at(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut request_at = 0;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Place::Refused = self.place {
                return Some(0);
            }
            if let Place::Body { left, chunked } = self.place {
                at += self.skip(left, chunked, rest.len());
                continue;
            }
            if !self.head.begun {
                request_at = at;
            }
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.keep(rest);
                return None;
            };
            at += end + 1;
            if let Err(Refused) = self.end_line(&rest[..end]) {
                self.place = Place::Refused;
                return Some(request_at);
            }
        }
        None
    }

    /// Passes over as much of a body as is there, and tells how much that was.
    fn skip(&mut self, left: u64, chunked: bool, there: usize) -> usize {
        let there_too = u64::try_from(there).unwrap_or(u64::MAX).min(left);
        let left = left - there_too;
        self.place = match (left, chunked) {
            (0, false) => Place::Head,
            (0, true) => Place::ChunkSize,
            _ => Place::Body { left, chunked },
        };
        usize::try_from(there_too).unwrap_or(there)
    }

    fn keep(&mut self, part: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn end_line(&mut self, last_part: &[u8]) -> Result<(), Refused> {
        if self.line.is_empty() {
            return self.take(last_part);
        }
        self.keep(last_part);
        let line = std::mem::take(&mut self.line);
        self.take(&line)
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Refused> {
        match self.place {
            Place::Head => self.take_head(line.strip_suffix(b"\r").unwrap_or(line))?,
            Place::ChunkSize => self.place = after_chunk_size(line)?,
            Place::Trailers if line == b"\r" => self.place = Place::Head,
            // hyper ends a trailer by both alone.
            Place::Trailers if !line.ends_with(b"\r") => return Err(Refused),
            Place::Trailers | Place::Body { .. } | Place::Refused => {}
        }
        Ok(())
    }

    fn take_head(&mut self, line: &[u8]) -> Result<(), Refused> {
        if !line.is_empty() {
            return self.head.take(line);
        }
        // Empty lines before a request are no part of it (RFC 9112, 2.2).
        if self.head.begun {
            self.place = std::mem::take(&mut self.head).body();
        }
        Ok(())
    }
}

impl Head {
    fn take(&mut self, line: &[u8]) -> Result<(), Refused> {
        self.begun = true;
        // Most headers are told by their first letter.
        if !matches!(line[0], b'c' | b'C' | b't' | b'T') {
            return Ok(());
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return Ok(());
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).unwrap_or_default();
            self.length = Some(value.trim().parse().map_err(|_| Refused)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        }
        if self.chunked && self.length.is_some() {
            return Err(Refused);
        }
        Ok(())
    }

    /// What follows the head.
    fn body(self) -> Place {
        if self.chunked {
            return Place::ChunkSize;
        }
        match self.length {
            None | Some(0) => Place::Head,
            Some(left) => Place::Body {
                left,
                chunked: false,
            },
        }
    }
}

fn after_chunk_size(line: &[u8]) -> Result<Place, Refused> {
    const LINE_END: u64 = 2;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = &line[..digits.count()];
    if digits.len() > MAX_SIZE_DIGITS {
        return Err(Refused);
    }
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    match u64::from_str_radix(digits, 16) {
        Ok(0) => Ok(Place::Trailers),
        Ok(size) => Ok(Place::Body {
            left: size.saturating_add(LINE_END),
            chunked: true,
        }),
        Err(_) => Err(Refused),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: &str = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Requests that are all right, and after which another one is seen.
    const PROPER: [&str; 8] = [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\nhost: a\n\n",
        "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nCONTENT-LENGTH:3\r\ncookie: transfer-encoding: chunked\r\n\r\n\n\n\n",
        "POST / HTTP/1.1\r\ncontent-length: 8\r\n\r\n0\r\n\r\nGET",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:chunked\r\n\r\n4;x=y\r\n\r\n\r\n\r\nA \r\n0123456789\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n00\r\ncontent-length: 4\r\n\r\n",
    ];

    /// Where the watch stops, when the bytes come in these pieces.
    fn stopped_at<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
        let mut framing = Framing::default();
        let mut before = 0;
        for piece in pieces {
            if let Some(at) = framing.look_at(piece) {
                return Some(before + at);
            }
            before += piece.len();
        }
        None
    }

    #[test]
    fn a_request_with_both_lengths_is_seen_in_any_order_and_case() {
        for request in [
            BOTH,
            "POST / HTTP/1.1\r\nTRANSFER-ENCODING: x\r\nx: y\r\ncontent-length:0\r\n",
            "POST / HTTP/1.0\ncontent-length: 4\ntransfer-encoding:\n",
        ] {
            assert_eq!(stopped_at([request.as_bytes()]), Some(0), "{request:?}");
        }
    }

    #[test]
    fn so_it_is_behind_any_proper_request() {
        for before in PROPER {
            let bytes = format!("{before}{BOTH}");
            assert_eq!(stopped_at([before.as_bytes()]), None, "{before:?}");
            assert_eq!(
                stopped_at([bytes.as_bytes()]),
                Some(before.len()),
                "{before:?}"
            );
        }
    }

    #[test]
    fn a_request_that_asks_for_an_upgrade_hides_none_behind_it() {
        let before = "GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
        let bytes = format!("{before}{BOTH}");
        assert_eq!(stopped_at([bytes.as_bytes()]), Some(before.len()));
    }

    #[test]
    fn nothing_that_the_watch_could_lose_its_place_by_is_let_through() {
        let blanks = " ".repeat(2 * MAX_LINE_BYTES);
        let zeros = "0".repeat(2 * MAX_LINE_BYTES);
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        for bytes in [
            "POST / HTTP/1.1\r\ncontent-length: 4, 4\r\n".to_owned(),
            "POST / HTTP/1.1\r\ncontent-length:\r\n".to_owned(),
            format!("POST / HTTP/1.1\r\ncontent-length:{blanks}5\r\n"),
            format!("{chunked}x\r\n"),
            format!("{chunked}{zeros}5\r\n"),
            format!("{chunked}0\r\nx: y\n\nPOST / HTTP/1.1\ncontent-length: 99\n\r\n\r\n"),
        ] {
            let pieces = bytes.as_bytes().chunks(100);
            assert!(stopped_at(pieces).is_some(), "{bytes:?}");
        }
    }

    #[test]
    fn after_a_refusal_nothing_is_read() {
        let mut framing = Framing::default();
        assert_eq!(framing.look_at(BOTH.as_bytes()), Some(0));
        assert_eq!(framing.look_at(PROPER[0].as_bytes()), Some(0));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            requests in prop::collection::vec(prop::sample::select(PROPER.to_vec()), 0..4),
            size in 1..60_usize,
        ) {
            let before = requests.concat();
            let bytes = format!("{before}{BOTH}");
            let stopped = stopped_at(bytes.as_bytes().chunks(size));
            // What came with an earlier piece has been handed on by then.
            let stopped = stopped.expect("it is seen");
            prop_assert!(stopped >= before.len() && stopped < bytes.len());
        }

        #[test]
        fn no_bytes_do_harm(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let _ = stopped_at(pieces.iter().map(Vec::as_slice));
        }

        #[test]
        fn a_long_line_takes_little_memory(parts in 1..50_usize) {
            let mut framing = Framing::default();
            for _ in 0..parts {
                prop_assert_eq!(framing.look_at(&[b'c'; 1000]), None);
                prop_assert!(framing.line.len() <= MAX_LINE_BYTES);
            }
        }
    }
}
