//! Reads the bodies of requests. Routes limit the length and the time of each; this limits the
//! memory of all.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError};
use tower_http::timeout::TimeoutError;

use super::access::BodyLimit;
use super::error::ApiError;
use crate::app::error::{AppError, Unavailable, ValidationError};
use crate::connections::Connection;
use crate::connections::budget::{Budget, ReservedBytes};

/// The size of the buffers that hold an incomplete body, in bytes.
const PIECE: usize = 32 * 1024;

/// A complete body. It counts against the budget of all bodies until it is dropped.
#[derive(Default)]
pub(super) struct ReceivedBody {
    pub(super) bytes: Bytes,
    _reservation: Option<ReservedBytes>,
}

impl AsRef<[u8]> for ReceivedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Incomplete {
    TooLarge,
    TimedOut,
    Aborted,
    Overloaded,
}

impl From<axum::Error> for Incomplete {
    fn from(error: axum::Error) -> Self {
        let error = error.into_inner();
        if error.is::<LengthLimitError>() {
            Self::TooLarge
        } else if error.is::<TimeoutError>() {
            Self::TimedOut
        } else {
            Self::Aborted
        }
    }
}

/// Reads the body of a request. Fails if it is too large, late or aborted, or if the bodies of all
/// requests take too much memory. A timeout closes the connection.
pub(super) async fn read(
    connection: Option<&Arc<Connection>>,
    body: Body,
    limit: BodyLimit,
) -> Result<ReceivedBody, ApiError> {
    if body.is_end_stream() {
        return Ok(ReceivedBody::default());
    }
    let connection = connection.ok_or(AppError::Internal)?;
    let read = collect(body, &connection.body_budget).await;
    read.map_err(|incomplete| match incomplete {
        Incomplete::TooLarge => limit.error(),
        Incomplete::Overloaded => Unavailable::Overloaded.into(),
        Incomplete::Aborted => ValidationError::Body("the body is incomplete".into()).into(),
        Incomplete::TimedOut => {
            // The rest of the body is not awaited.
            connection.close();
            ValidationError::Body("the body did not arrive in time".into()).into()
        }
    })
}

/// Reads a body frame by frame. Memory is reserved for received, not for announced bytes, so that a
/// client must send what it takes from others.
async fn collect(mut body: Body, budget: &Budget) -> Result<ReceivedBody, Incomplete> {
    let mut reservation = budget.reservation();
    let mut pieces = Pieces::default();
    let bytes = loop {
        let Some(frame) = body.frame().await else {
            break pieces.pieces.concat().into();
        };
        // Trailers are not used.
        let Ok(frame) = frame?.into_data() else {
            continue;
        };
        let length = pieces.length + frame.len();
        reservation
            .resize(length.next_multiple_of(PIECE))
            .map_err(|_| Incomplete::Overloaded)?;
        if pieces.length == 0 && body.is_end_stream() {
            break frame;
        }
        pieces.push(&frame);
    };
    Ok(ReceivedBody {
        bytes,
        _reservation: Some(reservation),
    })
}

/// An incomplete body. It is not kept as frames, which may be many and small, nor in one growing
/// buffer, which may take twice the memory.
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
    async fn received_bytes_are_reserved_and_released() {
        let budget = Budget::new(10 * PIECE);
        let Ok(received) = collect(frames(9, PIECE), &budget).await else {
            panic!("it is within the budget");
        };
        assert_eq!(received.bytes.len(), 9 * PIECE);
        let second = collect(frames(2, PIECE), &budget).await;
        assert!(matches!(second, Err(Incomplete::Overloaded)));
        drop((received, second));
        let third = collect(frames(10, PIECE), &budget).await;
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn reading_stops_at_the_size_limit() {
        let budget = Budget::new(10 * PIECE);
        let limited = Body::new(Limited::new(frames(9, 100), 800));
        let read = collect(limited, &budget).await;
        assert!(matches!(read, Err(Incomplete::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_is_complete_however_it_is_split_into_frames() {
        let budget = Budget::new(10 * PIECE);
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(3 * PIECE + 7).collect();
        for length in [1, 1000, PIECE, PIECE + 1, sent.len()] {
            let frames: Vec<_> = sent.chunks(length).map(Bytes::copy_from_slice).collect();
            let body = Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, Infallible>)));
            let Ok(received) = collect(body, &budget).await else {
                panic!("it is within the budget");
            };
            assert!(received.bytes == sent, "frames of {length}");
        }
    }
}
