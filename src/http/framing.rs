//! A watch over where requests begin and end, for one thing that hyper lets pass: a request with
//! both a `Content-Length` and a `Transfer-Encoding`. hyper reads it as chunked and hides the
//! other header, but a proxy in front may have gone by the length and then takes the rest of the
//! body for the next request (RFC 9112, 11.2). Such a request is refused.
//!
//! All else about framing is hyper's to judge. What the watch cannot read it leaves to hyper, and
//! looks no further on that connection.

/// More of a line is not looked at: no header that matters is longer.
const MAX_LINE_BYTES: usize = 256;

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
    /// Nothing that is looked at.
    Unwatched,
}

/// What is known of the head that is being read.
#[derive(Default, Clone, Copy)]
struct Head {
    begun: bool,
    length: Length,
    chunked: bool,
    upgrade: bool,
}

#[derive(Default, Clone, Copy)]
enum Length {
    #[default]
    None,
    Of(u64),
    Unreadable,
}

impl Framing {
    /// Looks at the next bytes. `Some` is how many of them stand before a request that has both
    /// lengths: neither that request nor what follows may be read.
    pub(super) fn look_at(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut request_at = 0;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Place::Unwatched = self.place {
                return None;
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
            if self.end_line(&rest[..end]) {
                self.place = Place::Unwatched;
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

    /// Takes in a line, and tells whether it shows a request that has both lengths.
    fn end_line(&mut self, last_part: &[u8]) -> bool {
        if self.line.is_empty() {
            return self.take(last_part);
        }
        self.keep(last_part);
        let line = std::mem::take(&mut self.line);
        self.take(&line)
    }

    fn take(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.place {
            Place::Head => return self.take_head(line),
            Place::ChunkSize => self.place = after_chunk_size(line),
            Place::Trailers if line.is_empty() => self.place = Place::Head,
            Place::Trailers | Place::Body { .. } | Place::Unwatched => {}
        }
        false
    }

    fn take_head(&mut self, line: &[u8]) -> bool {
        if !line.is_empty() {
            self.head.take(line);
            return self.head.has_both_lengths();
        }
        // Empty lines before a request are no part of it (RFC 9112, 2.2).
        if self.head.begun {
            self.place = std::mem::take(&mut self.head).body();
        }
        false
    }
}

impl Head {
    fn take(&mut self, line: &[u8]) {
        self.begun = true;
        // Most headers are told by their first letter.
        if !matches!(line[0], b'c' | b'C' | b't' | b'T' | b'u' | b'U') {
            return;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = std::str::from_utf8(value).unwrap_or_default();
            self.length = value.trim().parse().map_or(Length::Unreadable, Length::Of);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        }
    }

    fn has_both_lengths(self) -> bool {
        self.chunked && !matches!(self.length, Length::None)
    }

    /// What follows the head.
    fn body(self) -> Place {
        if self.upgrade {
            return Place::Unwatched;
        }
        if self.chunked {
            return Place::ChunkSize;
        }
        match self.length {
            Length::None | Length::Of(0) => Place::Head,
            Length::Of(left) => Place::Body {
                left,
                chunked: false,
            },
            Length::Unreadable => Place::Unwatched,
        }
    }
}

fn after_chunk_size(line: &[u8]) -> Place {
    const LINE_END: u64 = 2;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = std::str::from_utf8(&line[..digits.count()]).unwrap_or_default();
    match u64::from_str_radix(digits, 16) {
        Ok(0) => Place::Trailers,
        Ok(size) => Place::Body {
            left: size.saturating_add(LINE_END),
            chunked: true,
        },
        Err(_) => Place::Unwatched,
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
            "POST / HTTP/1.1\r\nTRANSFER-ENCODING: x\r\nx: y\r\ncontent-length:\r\n",
            "POST / HTTP/1.0\ncontent-length: 4, 4\ntransfer-encoding:\n",
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
    fn what_comes_after_an_upgrade_is_no_request() {
        let bytes = format!("GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n{BOTH}");
        assert_eq!(stopped_at([bytes.as_bytes()]), None);
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
