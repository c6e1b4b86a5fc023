//! Reads the bodies of answers.

use async_stream::try_stream;
use futures_util::stream::Stream;
use hyper::body::Bytes;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use super::connection_error::describe;
use super::http_client::invalid_json;
use super::redact::Redactor;
use super::sse::{Parser, SseEvent};
use crate::agents::backend::{BackendError, BodyProgress};
use crate::domain::failure::FailureReason;
use crate::json;

/// The size limit of an answer that is read whole, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// What the lines of an event stream begin with, comments and the nonstandard `error` included.
const FIELDS: [&[u8]; 6] = [b":", b"data", b"event", b"id", b"retry", b"error"];

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

    /// Detects the format from what the body begins with. Servers label streams as JSON and JSON as
    /// streams, so the content type decides only about other beginnings.
    ///
    /// # Errors
    /// The connection fails, or the body is neither JSON nor an event stream.
    pub(crate) async fn kind(&mut self) -> Result<BodyKind, BackendError> {
        let mut examined = 0;
        loop {
            match beginning(&self.begun, &mut examined) {
                Beginning::Json => return Ok(BodyKind::Json),
                Beginning::Events => return Ok(BodyKind::Events),
                Beginning::Other => return self.labelled(),
                Beginning::Unknown => {}
            }
            let Some(part) = self.part().await? else {
                return self.labelled();
            };
            self.append(&part)?;
        }
    }

    /// Returns the format that the content type names. A body without a label is a stream, unless
    /// it is a page.
    fn labelled(&self) -> Result<BodyKind, BackendError> {
        let label = content_type(self.response.headers());
        let is_page = self.begun.trim_ascii_start().starts_with(b"<");
        match label.as_deref() {
            _ if is_page => {}
            Some(label) if label.ends_with("json") => return Ok(BodyKind::Json),
            None | Some("text/event-stream") => return Ok(BodyKind::Events),
            Some(_) => {}
        }
        let label = label.map_or_else(
            || "a page without a content type".to_owned(),
            |label| self.redactor.redact(&label),
        );
        let cause = format!("it answered {label}, not JSON or an event stream");
        let cause = self.redactor.hinted(cause);
        Err(BackendError::new(FailureReason::Misconfigured, cause))
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

/// What a body begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Json,
    Events,
    Other,
    /// More of it is needed.
    Unknown,
}

/// Returns what a body begins with, after blanks and a byte order mark. The search continues at
/// `examined`.
fn beginning(begun: &[u8], examined: &mut usize) -> Beginning {
    const MARK: &[u8] = b"\xef\xbb\xbf";

    if begun.len() < MARK.len() && MARK.starts_with(begun) {
        return Beginning::Unknown;
    }
    if begun.starts_with(MARK) {
        *examined = MARK.len().max(*examined);
    }
    let rest = begun.get(*examined..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace());
    *examined += blanks.count();
    let rest = begun.get(*examined..).unwrap_or_default();
    match rest.first() {
        None => Beginning::Unknown,
        Some(b'{' | b'[') => Beginning::Json,
        Some(_) if FIELDS.iter().any(|field| rest.starts_with(field)) => Beginning::Events,
        Some(_) if FIELDS.iter().any(|field| field.starts_with(rest)) => Beginning::Unknown,
        Some(_) => Beginning::Other,
    }
}

/// Returns the content type in lower case, without parameters.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next()?.trim();
    (!kind.is_empty()).then(|| kind.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_recognised_by_its_beginning() {
        use Beginning::{Events, Json, Other, Unknown};

        for (body, expected) in [
            (&b""[..], Unknown),
            (b" \r\n", Unknown),
            (b"\xef", Unknown),
            (b"\xef\xbb\xbf", Unknown),
            (b"\xef\xbb\xbf {", Json),
            (b"[", Json),
            (b"\n\ndat", Unknown),
            (b"\n\ndata: x", Events),
            (b": comment", Events),
            (b"error: {}", Events),
            (b"<html>", Other),
            (b"Ollama is running", Other),
        ] {
            assert_eq!(beginning(body, &mut 0), expected, "{body:?}");
            let mut examined = 0;
            let parts = (0..=body.len()).map(|end| &body[..end]);
            let mut found = parts.map(|part| beginning(part, &mut examined));
            let found = found.find(|it| *it != Unknown).unwrap_or(Unknown);
            assert_eq!(found, expected, "{body:?} byte by byte");
        }
    }
}
