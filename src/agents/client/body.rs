//! The bodies of answers, read as they come.

use async_stream::try_stream;
use futures_util::stream::Stream;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;

use super::http_client::{in_words, not_understood};
use super::redact::Redactor;
use super::sse::{Event, Parser};
use crate::agents::backend::{BackendError, Progress};
use crate::json;

/// The largest answer that is read whole, in bytes.
const MAX_ANSWER: usize = 4 << 20;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agents) enum Kind {
    /// One JSON text.
    Json,
    /// Server-sent events.
    Events,
}

/// An answer's body. Each of its bytes counts as progress.
pub(in crate::agents) struct Body {
    response: Response,
    /// What was read of it to see what it is.
    begun: Vec<u8>,
    progress: Progress,
    redactor: Redactor,
}

impl Body {
    /// The body of a response.
    pub(in crate::agents) fn new(
        response: Response,
        progress: &Progress,
        redactor: &Redactor,
    ) -> Self {
        Self {
            response,
            begun: Vec::new(),
            progress: progress.clone(),
            redactor: redactor.clone(),
        }
    }

    /// How it is written, by its first byte that is not blank. Servers label streams as JSON and
    /// JSON as streams, so the label counts only where there is no such byte.
    ///
    /// # Errors
    /// The connection breaks, or it is a page.
    pub(in crate::agents) async fn kind(&mut self) -> Result<Kind, BackendError> {
        let mut looked_at = 0;
        loop {
            match first_byte(&self.begun, &mut looked_at) {
                Some(b'{' | b'[') => return Ok(Kind::Json),
                Some(b'<') => {
                    let label = content_type(self.response.headers());
                    return Err(BackendError::Final(format!(
                        "it answered a page ({label}) and not JSON or an event stream"
                    )));
                }
                Some(_) => return Ok(Kind::Events),
                None => {}
            }
            let Some(part) = self.part().await? else {
                let is_json = content_type(self.response.headers()).contains("json");
                return Ok(if is_json { Kind::Json } else { Kind::Events });
            };
            self.begun.extend_from_slice(&part);
            if self.begun.len() > MAX_ANSWER {
                return Err(too_long());
            }
        }
    }

    /// Reads it whole, as JSON.
    ///
    /// # Errors
    /// The connection breaks, or it is too long or not what it should be.
    pub(in crate::agents) async fn json<T: DeserializeOwned>(self) -> Result<T, BackendError> {
        let body = self.bytes().await?;
        json::from_js(&body).map_err(|error| not_understood("its answer", &error))
    }

    /// Reads it whole, as text.
    ///
    /// # Errors
    /// The connection breaks, or it is too long or not UTF-8.
    pub(in crate::agents) async fn text(self) -> Result<String, BackendError> {
        let body = self.bytes().await?;
        String::from_utf8(body).map_err(|_| BackendError::Final("its answer is not UTF-8".into()))
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// The connection breaks, or it is too long.
    pub(in crate::agents) async fn bytes(mut self) -> Result<Vec<u8>, BackendError> {
        let mut body = std::mem::take(&mut self.begun);
        while let Some(part) = self.part().await? {
            if body.len() + part.len() > MAX_ANSWER {
                return Err(too_long());
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    /// Reads it event by event. What comes last counts even without the empty line after it.
    pub(in crate::agents) fn events(
        mut self,
    ) -> impl Stream<Item = Result<Event, BackendError>> + Send {
        try_stream! {
            let mut parser = Parser::default();
            let begun = std::mem::take(&mut self.begun);
            for event in parser.feed(&begun).map_err(unreadable)? {
                yield event;
            }
            while let Some(part) = self.part().await? {
                for event in parser.feed(&part).map_err(unreadable)? {
                    yield event;
                }
            }
            for event in parser.finish().map_err(unreadable)? {
                yield event;
            }
        }
    }

    async fn part(&mut self) -> Result<Option<hyper::body::Bytes>, BackendError> {
        let part = self.response.chunk().await.map_err(|error| {
            let broke = format!("its answer broke off: {}", in_words(error));
            BackendError::Final(self.redactor.redact(&broke))
        })?;
        self.progress.bytes_arrived();
        Ok(part)
    }
}

/// The first byte that is neither blank nor of a byte order mark, from what was looked at on.
fn first_byte(begun: &[u8], looked_at: &mut usize) -> Option<u8> {
    const MARK: &[u8] = b"\xef\xbb\xbf";

    if begun.len() < MARK.len() && MARK.starts_with(begun) {
        return None;
    }
    if begun.starts_with(MARK) {
        *looked_at = MARK.len().max(*looked_at);
    }
    let rest = begun.get(*looked_at..)?;
    let found = rest.iter().find(|byte| !byte.is_ascii_whitespace());
    *looked_at = begun.len();
    found.copied()
}

fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value.unwrap_or("no content type").to_ascii_lowercase()
}

fn unreadable(fault: &'static str) -> BackendError {
    BackendError::Final(fault.into())
}

fn too_long() -> BackendError {
    BackendError::Final(format!("its answer has more than {MAX_ANSWER} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_says_something_is_found() {
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
            let mut looked_at = 0;
            let parts = (0..=begun.len()).map(|end| &begun[..end]);
            let found = parts.filter_map(|part| first_byte(part, &mut looked_at));
            assert_eq!(found.take(1).last(), first, "{begun:?} byte by byte");
        }
    }
}
