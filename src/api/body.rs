//! Reading the bodies of requests: bounded each, bounded in all, and in time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::error::ApiError;
use crate::app::error::ValidationError;
use crate::guard::budget::{Budget, Reservation};
use crate::guard::connections::{Connection, Order};

/// A request's body must arrive within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// In pieces of how many bytes a body is kept until it is complete.
const PIECE: usize = 32 * 1024;

/// A body that has arrived. It counts against what all bodies may take until it is dropped.
pub(super) struct Received {
    bytes: Bytes,
    _reservation: Option<Reservation>,
}

/// Why a body is not read to its end.
enum Unread {
    TooLarge,
    Overloaded,
    CutOff,
}

impl Received {
    /// The bytes.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads a body of at most `max` bytes. One that does not arrive in time ends its connection.
pub(super) async fn read(
    body: Body,
    connection: Option<&Connection>,
    max: usize,
) -> Result<Received, ApiError> {
    // Without a connection to wait for there is no body.
    let Some(connection) = connection else {
        return Ok(Received {
            bytes: Bytes::new(),
            _reservation: None,
        });
    };
    if body.size_hint().lower() > max as u64 {
        return Err(ApiError::payload_too_large(max));
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(body, connection.bodies(), max)).await;
    let Ok(read) = read else {
        connection.tell(Order::Close);
        // Nobody is left to be answered.
        return Err(ValidationError::Body("the body did not arrive in time".into()).into());
    };
    read.map_err(|unread| match unread {
        Unread::TooLarge => ApiError::payload_too_large(max),
        Unread::Overloaded => ApiError::overloaded(),
        Unread::CutOff => ValidationError::Body("the body was cut off".into()).into(),
    })
}

/// Reads a body frame by frame. What has arrived is reserved, not what was announced: a client
/// must send what it takes from others.
async fn collect(mut body: Body, budget: &Budget, max: usize) -> Result<Received, Unread> {
    let mut reservation = budget.reservation();
    let mut pieces = Pieces::default();
    while let Some(frame) = body.frame().await {
        // Trailers are of no use here.
        let Ok(frame) = frame.map_err(|_| Unread::CutOff)?.into_data() else {
            continue;
        };
        let length = pieces.length + frame.len();
        if length > max {
            return Err(Unread::TooLarge);
        }
        reservation
            .resize(length.next_multiple_of(PIECE))
            .map_err(|_| Unread::Overloaded)?;
        if pieces.length == 0 && body.is_end_stream() {
            return Ok(Received {
                bytes: frame,
                _reservation: Some(reservation),
            });
        }
        pieces.push(&frame);
    }
    Ok(Received {
        bytes: pieces.joined(),
        _reservation: Some(reservation),
    })
}

/// A body that has not arrived in full. It takes the memory of what has: not of the frames, which
/// may be many and small, and not of a buffer that is too large or was copied on its way there.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    length: usize,
}

impl Pieces {
    fn push(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len();
        while !bytes.is_empty() {
            let piece = match self.pieces.last_mut() {
                Some(piece) if piece.len() < PIECE => piece,
                _ => {
                    self.pieces.push(Vec::with_capacity(PIECE));
                    continue;
                }
            };
            let (fits, rest) = bytes.split_at(bytes.len().min(PIECE - piece.len()));
            piece.extend_from_slice(fits);
            bytes = rest;
        }
    }

    fn joined(mut self) -> Bytes {
        if self.pieces.len() == 1 {
            return self.pieces.remove(0).into();
        }
        let mut joined = Vec::with_capacity(self.length);
        for piece in self.pieces {
            joined.extend_from_slice(&piece);
        }
        joined.into()
    }
}

/// The coding of a body that is not sent as it is; `sessiond` decodes none.
pub(super) fn coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let mut coded = values.filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity"));
    coded.next()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::HeaderValue;
    use futures_util::stream;

    use super::*;

    fn frames(count: usize, length: usize) -> Body {
        let frame = Bytes::from(vec![b'x'; length]);
        let frames = std::iter::repeat_n(frame, count).map(Ok::<_, Infallible>);
        Body::from_stream(stream::iter(frames))
    }

    #[tokio::test]
    async fn what_has_arrived_is_counted_and_given_back() {
        let budget = Budget::new(10 * PIECE);
        let Ok(received) = collect(frames(9, PIECE), &budget, usize::MAX).await else {
            panic!("there is room for it");
        };
        assert_eq!(received.bytes().len(), 9 * PIECE);
        let second = collect(frames(2, PIECE), &budget, usize::MAX).await;
        assert!(matches!(second, Err(Unread::Overloaded)));
        drop((received, second));
        let third = collect(frames(10, PIECE), &budget, usize::MAX).await;
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_ends_where_it_is() {
        let budget = Budget::new(10 * PIECE);
        let read = collect(frames(9, 100), &budget, 800).await;
        assert!(matches!(read, Err(Unread::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_is_whole_in_whatever_frames_it_comes() {
        let budget = Budget::new(10 * PIECE);
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PIECE + 7).collect();
        for length in [1, 1000, PIECE, PIECE + 1, sent.len()] {
            let frames: Vec<_> = sent.chunks(length).map(Bytes::copy_from_slice).collect();
            let body = Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, Infallible>)));
            let Ok(received) = collect(body, &budget, sent.len()).await else {
                panic!("there is room for it");
            };
            assert!(received.bytes() == &sent, "frames of {length}");
        }
    }

    #[test]
    fn a_coding_is_named_unless_it_is_none() {
        let coding_of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            coding(&headers)
        };
        assert_eq!(coding(&HeaderMap::new()), None);
        assert_eq!(coding_of("Identity"), None);
        assert_eq!(coding_of(""), None);
        assert_eq!(coding_of("gzip"), Some("gzip".into()));
        assert_eq!(coding_of("br, gzip"), Some("br, gzip".into()));
    }
}
