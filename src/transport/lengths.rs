//! The refusal of requests with both a `Content-Length` and a `Transfer-Encoding`.
//!
//! hyper refuses every other request whose end is in doubt. It handles this one as chunked and closes
//! the connection after it (RFC 9112, 6.3), so that no second request can be smuggled in. But a proxy
//! that goes by the length has passed on another body than the one that is handled, and a service
//! cannot tell, since hyper hides the length.
//!
//! Requests are not parsed for this. A head is a run of lines that are not empty, so any run of lines
//! with both names is refused, in bodies too. The bodies that are accepted are JSON, in which no line
//! can begin with either name, and the frames of a WebSocket are masked with random bytes.

/// The headers that exclude each other, in lower case.
const NAMES: [&[u8]; 2] = [b"content-length:", b"transfer-encoding:"];

/// How many bytes of a line are compared: the length of the longer name.
const PREFIX: usize = NAMES[1].len();

/// Scans the bytes of one connection, which may be split anywhere.
#[derive(Debug, Default)]
pub(super) struct LengthHeaders {
    /// The beginning of the current line.
    prefix: [u8; PREFIX],
    length: usize,
    /// Which of [`NAMES`] the current run of lines has.
    has: [bool; 2],
}

impl LengthHeaders {
    /// Scans the next bytes. Where a head has both headers, returns the start of the second one's
    /// line in these bytes, or 0 if it started before them. The bytes before it are never a
    /// complete head.
    pub(super) fn conflict(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &bytes[at..]) {
            self.extend(&bytes[at..at + end]);
            self.end_line();
            if self.has == [true; 2] {
                return Some(at);
            }
            at += end + 1;
        }
        self.extend(&bytes[at..]);
        None
    }

    fn extend(&mut self, part: &[u8]) {
        let room = &mut self.prefix[self.length..];
        let count = part.len().min(room.len());
        room[..count].copy_from_slice(&part[..count]);
        self.length += count;
    }

    fn end_line(&mut self) {
        let line = &self.prefix[..self.length];
        if matches!(line, b"" | b"\r") {
            self.has = [false; 2];
        }
        for (name, has) in NAMES.iter().zip(&mut self.has) {
            let start = line.get(..name.len());
            *has |= start.is_some_and(|start| start.eq_ignore_ascii_case(name));
        }
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: &str = "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Valid requests, after which the next one is scanned.
    const VALID: [&str; 9] = [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\nhost: a\n\n",
        "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nCONTENT-LENGTH:3\r\ncookie: transfer-encoding: chunked\r\n\r\n\n\n\n",
        "POST / HTTP/1.1\r\ncontent-length: 8\r\n\r\n0\r\n\r\nGET",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:chunked\r\n\r\n4;x=y\r\n\r\n\r\n\r\nA \r\n0123456789\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n00\r\ncontent-length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 22\r\n\r\n{\n\"transfer-encoding:\"}",
    ];

    #[test]
    fn both_headers_are_found_in_any_order_and_case() {
        for (before, line) in [
            (
                "POST / HTTP/1.1\r\nContent-Length: 4\r\n",
                "Transfer-Encoding: chunked\r\n\r\n",
            ),
            (
                "POST / HTTP/1.1\r\nTRANSFER-ENCODING: x\r\nx: y\r\n",
                "content-length:0\r\n",
            ),
            (
                "POST / HTTP/1.0\ncontent-length: 4\n",
                "transfer-encoding:\n",
            ),
        ] {
            let found = LengthHeaders::default().conflict(format!("{before}{line}").as_bytes());
            assert_eq!(found, Some(before.len()), "{before:?}");
        }
    }

    #[test]
    fn a_line_that_started_in_an_earlier_piece_is_refused_from_the_first_byte() {
        let mut headers = LengthHeaders::default();
        let (before, rest) = BOTH.split_at(BOTH.find("fer-Enc").unwrap());
        assert_eq!(headers.conflict(before.as_bytes()), None);
        assert_eq!(headers.conflict(rest.as_bytes()), Some(0));
    }

    proptest! {
        #[test]
        fn it_is_found_after_any_valid_requests_and_in_any_pieces(
            requests in prop::collection::vec(prop::sample::select(VALID.to_vec()), 0..4),
            size in 1..60_usize,
        ) {
            let mut headers = LengthHeaders::default();
            let before = requests.concat();
            for piece in before.as_bytes().chunks(size) {
                prop_assert_eq!(headers.conflict(piece), None);
            }
            let found = BOTH.as_bytes().chunks(size).any(|piece| headers.conflict(piece).is_some());
            prop_assert!(found);
        }

        #[test]
        fn any_bytes_are_scanned_without_a_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut headers = LengthHeaders::default();
            for piece in pieces {
                prop_assert!(headers.conflict(&piece).is_none_or(|at| at < piece.len()));
            }
        }
    }
}
