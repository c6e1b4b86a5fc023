//! Reads the bodies of answers.

use async_stream::try_stream;
use futures_util::stream::Stream;
use hyper::body::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use super::http_client::{describe, invalid_json};
use super::redact::Redactor;
use super::sse::{Parser, SseEvent};
use crate::agents::backend::{BackendError, BodyProgress};
use crate::domain::failure::FailureReason;
use crate::json;

/// The size limit of an answer that is read whole, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The format of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// One JSON text.
    Json,
    /// Server-sent events.
    Events,
}

/// The body of an answer. All received bytes count as progress.
pub(crate) struct AnswerBody {
    response: Response,
    /// What [`kind`](Self::kind) has read.
    begun: Vec<u8>,
    progress: BodyProgress,
    redactor: Redactor,
}

impl AnswerBody {
    pub(crate) fn new(response: Response, progress: &BodyProgress, redactor: &Redactor) -> Self {
        Self {
            response,
            begun: Vec::new(),
            progress: progress.clone(),
            redactor: redactor.clone(),
        }
    }

    /// Detects the format from the first byte that is not blank. Servers label streams as JSON and
    /// JSON as streams, so the content type decides only about blank bodies.
    ///
    /// # Errors
    /// The connection fails, or the body is HTML.
    pub(crate) async fn kind(&mut self) -> Result<BodyKind, BackendError> {
        let mut examined = 0;
        loop {
            match first_byte(&self.begun, &mut examined) {
                Some(b'{' | b'[') => return Ok(BodyKind::Json),
                Some(b'<') => {
                    let label = content_type(self.response.headers());
                    let cause =
                        format!("it answered a page ({label}) and not JSON or an event stream");
                    return Err(BackendError::new(FailureReason::Misconfigured, cause));
                }
                Some(_) => return Ok(BodyKind::Events),
                None => {}
            }
            let Some(part) = self.part().await? else {
                let is_json = content_type(self.response.headers()).contains("json");
                return Ok(if is_json {
                    BodyKind::Json
                } else {
                    BodyKind::Events
                });
            };
            self.append(&part)?;
        }
    }

    /// Reads the whole body as JSON.
    ///
    /// # Errors
    /// The connection fails, or the body is too long or invalid.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, BackendError> {
        let body = self.bytes().await?;
        json::from_js(&body).map_err(|error| invalid_json("its answer", &error))
    }

    /// Reads the whole body as text.
    ///
    /// # Errors
    /// The connection fails, or the body is too long or not UTF-8.
    pub(crate) async fn text(self) -> Result<String, BackendError> {
        let body = self.bytes().await?;
        String::from_utf8(body)
            .map_err(|_| BackendError::new(FailureReason::InvalidReply, "its answer is not UTF-8"))
    }

    async fn bytes(mut self) -> Result<Vec<u8>, BackendError> {
        while let Some(part) = self.part().await? {
            self.append(&part)?;
        }
        Ok(self.begun)
    }

    /// Reads the body event by event. The last event may lack the empty line after it.
    pub(crate) fn events(mut self) -> impl Stream<Item = Result<SseEvent, BackendError>> + Send {
        let invalid = |cause: &str| BackendError::new(FailureReason::InvalidReply, cause);
        try_stream! {
            let mut parser = Parser::default();
            let begun = std::mem::take(&mut self.begun);
            for event in parser.feed(&begun).map_err(invalid)? {
                yield event;
            }
            while let Some(part) = self.part().await? {
                for event in parser.feed(&part).map_err(invalid)? {
                    yield event;
                }
            }
            for event in parser.finish().map_err(invalid)? {
                yield event;
            }
        }
    }

    async fn part(&mut self) -> Result<Option<Bytes>, BackendError> {
        let part = self.response.chunk().await.map_err(|error| {
            let text = format!(
                "the connection failed during its answer: {}",
                describe(error)
            );
            BackendError::new(FailureReason::InvalidReply, self.redactor.redact(&text))
        })?;
        self.progress.bytes_arrived();
        Ok(part)
    }

    fn append(&mut self, part: &[u8]) -> Result<(), BackendError> {
        if self.begun.len() + part.len() > MAX_ANSWER_BYTES {
            let text = format!("its answer has more than {MAX_ANSWER_BYTES} bytes");
            return Err(BackendError::new(FailureReason::InvalidReply, text));
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }
}

/// Returns the first byte that is not blank or part of a byte order mark. The search continues at
/// `examined`.
fn first_byte(begun: &[u8], examined: &mut usize) -> Option<u8> {
    const MARK: &[u8] = b"\xef\xbb\xbf";

    if begun.len() < MARK.len() && MARK.starts_with(begun) {
        return None;
    }
    if begun.starts_with(MARK) {
        *examined = MARK.len().max(*examined);
    }
    let rest = begun.get(*examined..)?;
    let found = rest.iter().find(|byte| !byte.is_ascii_whitespace());
    *examined = begun.len();
    found.copied()
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value.unwrap_or("no content type").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_not_blank_is_found() {
        for (begun, first) in [
            (&b""[..], None),
            (b" \r\n", None),
            (b"\xef", None),
            (b"\xef\xbb\xbf", None),
            (b"\xef\xbb\xbf {", Some(b'{')),
            (b"\n\ndata: x", Some(b'd')),
            (b": comment", Some(b':')),
            (b"<html>", Some(b'<')),
        ] {
            assert_eq!(first_byte(begun, &mut 0), first, "{begun:?}");
            let mut examined = 0;
            let parts = (0..=begun.len()).map(|end| &begun[..end]);
            let found = parts.filter_map(|part| first_byte(part, &mut examined));
            assert_eq!(found.take(1).last(), first, "{begun:?} byte by byte");
        }
    }
}
