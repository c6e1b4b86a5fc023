//! Reading the bodies of requests. Their routes bound how long each may be and how long it may
//! take; here all of them together are bounded.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError};
use tower_http::timeout::TimeoutError;

use super::error::ApiError;
use crate::app::error::ValidationError;
use crate::connections::Connection;
use crate::connections::budget::{Budget, Reservation};

/// In pieces of how many bytes a body is kept until it is complete.
const PIECE: usize = 32 * 1024;

/// A body that has arrived. It counts against what all bodies may take until it is dropped.
#[derive(Default)]
pub(super) struct Received {
    bytes: Bytes,
    _reservation: Option<Reservation>,
}

/// Why a body is not read to its end.
#[derive(Debug, PartialEq, Eq)]
enum Unread {
    TooLarge,
    Late,
    CutOff,
    Overloaded,
}

impl From<axum::Error> for Unread {
    fn from(error: axum::Error) -> Self {
        let error = error.into_inner();
        if error.is::<LengthLimitError>() {
            Self::TooLarge
        } else if error.is::<TimeoutError>() {
            Self::Late
        } else {
            Self::CutOff
        }
    }
}

impl Received {
    /// The bytes.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Reads the body of a request, within the limits that its route sets. One that does not arrive in
/// time ends its connection.
///
/// # Errors
/// The body is too large, late or cut off, or too many bytes of bodies are held already.
pub(super) async fn read(
    connection: Option<&Arc<Connection>>,
    body: Body,
    max: usize,
) -> Result<Received, ApiError> {
    if body.is_end_stream() {
        return Ok(Received::default());
    }
    let connection = connection.ok_or_else(ApiError::internal)?;
    collect(body, connection.body_budget())
        .await
        .map_err(|unread| match unread {
            Unread::TooLarge => ApiError::payload_too_large(max),
            Unread::Overloaded => ApiError::overloaded(),
            Unread::CutOff => ValidationError::Body("the body was cut off".into()).into(),
            Unread::Late => {
                // Whatever else it sends is not waited for.
                connection.close();
                ValidationError::Body("the body did not arrive in time".into()).into()
            }
        })
}

/// Reads a body frame by frame. What has arrived is reserved, not what was announced: a client
/// must send what it takes from others.
async fn collect(mut body: Body, budget: &Budget) -> Result<Received, Unread> {
    let mut reservation = budget.reservation();
    let mut pieces = Pieces::default();
    while let Some(frame) = body.frame().await {
        // Trailers are of no use here.
        let Ok(frame) = frame?.into_data() else {
            continue;
        };
        let length = pieces.length + frame.len();
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::Limited;

    use super::*;

    fn frames(count: usize, length: usize) -> Body {
        let frame = Bytes::from(vec![b'x'; length]);
        let frames = std::iter::repeat_n(frame, count).map(Ok::<_, Infallible>);
        Body::from_stream(stream::iter(frames))
    }

    #[tokio::test]
    async fn what_has_arrived_is_counted_and_given_back() {
        let budget = Budget::new(10 * PIECE);
        let Ok(received) = collect(frames(9, PIECE), &budget).await else {
            panic!("there is room for it");
        };
        assert_eq!(received.bytes().len(), 9 * PIECE);
        let second = collect(frames(2, PIECE), &budget).await;
        assert!(matches!(second, Err(Unread::Overloaded)));
        drop((received, second));
        let third = collect(frames(10, PIECE), &budget).await;
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_ends_where_it_is() {
        let budget = Budget::new(10 * PIECE);
        let limited = Body::new(Limited::new(frames(9, 100), 800));
        let read = collect(limited, &budget).await;
        assert!(matches!(read, Err(Unread::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_is_whole_in_whatever_frames_it_comes() {
        let budget = Budget::new(10 * PIECE);
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PIECE + 7).collect();
        for length in [1, 1000, PIECE, PIECE + 1, sent.len()] {
            let frames: Vec<_> = sent.chunks(length).map(Bytes::copy_from_slice).collect();
            let body = Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, Infallible>)));
            let Ok(received) = collect(body, &budget).await else {
                panic!("there is room for it");
            };
            assert!(received.bytes() == &sent, "frames of {length}");
        }
    }
}
