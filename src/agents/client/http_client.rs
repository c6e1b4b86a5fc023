//! Requests to the servers behind the agents, and their errors.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde_json::Value;

use super::redact::Redactor;
use crate::agents::backend::{BackendError, RetryAfter};
use crate::domain::failure::FailureReason;
use crate::domain::time::Timestamp;
use crate::json;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Some servers close idle connections after five seconds, and a request on one that is being
/// closed fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long to wait for the body of an error response.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of an error response is read, in bytes.
const MAX_ERROR_BODY_BYTES: usize = 16 * 1024;

/// Creates the client that all backends share: it follows no redirects and uses no proxy.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    // Fails if another provider is installed already, which works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("sessiond/", env!("CARGO_PKG_VERSION")))
    };
    builder().build().or_else(|error| {
        // Without certificates, plain HTTP still works.
        tracing::warn!(%error, "the system's certificates cannot be read; https will fail");
        builder().tls_certs_only([]).build()
    })
}

/// Parses the URL of a server; `None` without an HTTP scheme or a host.
pub(crate) fn parse_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https");
    (is_http && url.has_host()).then_some(url)
}

/// Appends a path to a base URL.
pub(crate) fn append_path(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let own = base.path().trim_end_matches('/');
    url.set_path(&format!("{own}{path}"));
    url
}

/// Whether a request may be carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A model only generates another answer.
    Harmless,
    /// The agent may act twice, so only requests that were not started are retried.
    ActsTwice,
}

impl Repeat {
    /// Returns whether a request with this response is retried.
    fn allows_retry(self, status: StatusCode) -> bool {
        match status.as_u16() {
            429 | 502 | 503 | 504 => true,
            // Several hosts of models use 529 for an overload.
            408 | 500 | 529 => self == Self::Harmless,
            _ => false,
        }
    }
}

/// Sends a request and returns its response, whatever the status.
pub(crate) async fn send(
    request: RequestBuilder,
    redactor: &Redactor,
    repeat: Repeat,
) -> Result<Response, BackendError> {
    request.send().await.map_err(|error| {
        // A request without a response may have been carried out.
        let is_unanswered = error.is_request() && !error.is_timeout();
        let may_retry = error.is_connect() || is_unanswered && repeat == Repeat::Harmless;
        let detail = redactor.redact(&describe(error));
        if may_retry {
            BackendError::new(FailureReason::Unavailable, detail).with_retry(None)
        } else {
            BackendError::new(FailureReason::Unavailable, detail)
        }
    })
}

/// Returns the response if it is a success, and its error otherwise.
pub(crate) async fn accept(
    response: Response,
    redactor: &Redactor,
    repeat: Repeat,
) -> Result<Response, BackendError> {
    let response = check(response).await;
    response.map_err(|error| error.into_error(redactor, repeat))
}

/// Returns the response if it is a success, and the beginning of its body otherwise.
pub(crate) async fn check(response: Response) -> Result<Response, ErrorResponse> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(ErrorResponse {
        status: response.status(),
        retry_after: retry_after(response.headers()),
        body: beginning(response).await,
    })
}

/// A response that is not a success.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    retry_after: Option<RetryAfter>,
    /// The beginning of the body.
    pub(crate) body: Vec<u8>,
}

impl ErrorResponse {
    pub(crate) fn into_error(self, redactor: &Redactor, repeat: Repeat) -> BackendError {
        let retry_after = self.retry_after;
        let text = redactor.redact(&error_text(&self.body));
        let wait = match retry_after {
            Some(RetryAfter::Span(span)) => format!(", retry after {} s", span.as_secs()),
            _ => String::new(),
        };
        let detail = format!("it answered {}{wait}: {text}", self.status);
        let error = BackendError::new(reason_of(self.status), detail);
        if repeat.allows_retry(self.status) {
            return error.with_retry(retry_after);
        }
        error
    }
}

/// Returns the reason that clients receive for an error response.
fn reason_of(status: StatusCode) -> FailureReason {
    match status.as_u16() {
        429 | 529 => FailureReason::Busy,
        413 => FailureReason::TooLong,
        408 | 500..=599 => FailureReason::Unavailable,
        _ => FailureReason::Misconfigured,
    }
}

/// Returns the error that a part of an answer reports.
pub(crate) fn reported_error(text: &str, redactor: &Redactor) -> BackendError {
    let text = redactor.redact(&error_text(text.as_bytes()));
    let cause = format!("it answered an error: {text}");
    BackendError::new(FailureReason::Unavailable, cause)
}

/// Returns the message in an error's body, which is a string or an object around one.
pub(crate) fn error_text(body: &[u8]) -> String {
    let body = json::well_formed(body);
    let text = String::from_utf8_lossy(&body);
    let parsed = json::from_js::<Value>(text.as_bytes()).ok();
    let message = parsed.as_ref().and_then(message_in);
    message.unwrap_or_else(|| text.trim().to_owned())
}

fn message_in(error: &Value) -> Option<String> {
    match error {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first().and_then(message_in),
        Value::Object(fields) => ["error", "message", "detail", "msg", "code"]
            .iter()
            .find_map(|name| message_in(fields.get(*name)?)),
        _ => None,
    }
}

/// Returns a parser's error without the text that it parsed.
pub(crate) fn invalid_json(what: &str, error: &serde_json::Error) -> BackendError {
    let (line, column) = (error.line(), error.column());
    let cause = format!("{what} is not valid, at its line {line} and column {column}");
    BackendError::new(FailureReason::InvalidReply, cause)
}

/// Reads the beginning of an error's body, as far as it arrives in time.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(part)) = response.chunk().await {
            body.extend_from_slice(&part);
            if body.len() > MAX_ERROR_BODY_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ERROR_BODY_TIMEOUT, reading).await;
    body
}

fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    // Some servers send fractions, which the standard does not allow.
    if let Ok(seconds) = text.parse::<f64>()
        && seconds >= 0.0
    {
        let max = Duration::from_secs(u64::from(u32::MAX));
        let span = Duration::try_from_secs_f64(seconds).unwrap_or(max);
        return Some(RetryAfter::Span(span.min(max)));
    }
    let time = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(RetryAfter::Time(Timestamp(time.timestamp_millis())))
}

/// Describes an error and its causes, without the URL, which may contain a password.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_in_every_format() {
        for (body, text) in [
            (
                r#"{"error":{"message":"no such model","type":"x"}}"#,
                "no such model",
            ),
            (r#"{"error":"no such model"}"#, "no such model"),
            (r#"{"success":false,"error":{"code":"GONE"}}"#, "GONE"),
            (r#"{"message":"no"}"#, "no"),
            (r#"[{"error":{"code":400,"message":"no"}}]"#, "no"),
            (r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#, "no"),
            (" plain \n", "plain"),
            ("\u{feff}plain", "plain"),
            (
                "\u{feff}{\"error\":\"cut \\ud83c\",\"error\":\"\\udf89\"}",
                "\u{fffd}",
            ),
            (r#"{"other":1}"#, r#"{"other":1}"#),
        ] {
            assert_eq!(error_text(body.as_bytes()), text, "{body}");
        }
    }

    #[test]
    fn a_url_has_an_http_scheme_and_a_host() {
        let base = parse_url("http://localhost:1234/v1/").unwrap();
        assert_eq!(
            append_path(&base, "/a").as_str(),
            "http://localhost:1234/v1/a"
        );
        let host = parse_url("https://example.org").unwrap();
        assert_eq!(append_path(&host, "/a").as_str(), "https://example.org/a");
        for wrong in ["", "localhost:1234", "ftp://host", "/v1", "http://"] {
            assert!(parse_url(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn retry_after_is_a_span_or_a_time() {
        let headers = |value: &str| {
            let value = value.parse().unwrap();
            HeaderMap::from_iter([(RETRY_AFTER, value)])
        };
        let span = Some(RetryAfter::Span(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers("7")), span);
        let fraction = Some(RetryAfter::Span(Duration::from_millis(4500)));
        assert_eq!(retry_after(&headers("4.5")), fraction);
        for long in ["99999999999999999999", "1e300", "inf"] {
            let Some(RetryAfter::Span(span)) = retry_after(&headers(long)) else {
                panic!("{long}");
            };
            assert!(span > Duration::from_secs(1_000_000), "{long}");
        }
        assert_eq!(retry_after(&headers("-1")), None);
        assert_eq!(retry_after(&headers("NaN")), None);
        let time = Some(RetryAfter::Time(Timestamp(1_704_067_207_000)));
        let date = "Mon, 01 Jan 2024 00:00:07 GMT";
        assert_eq!(retry_after(&headers(date)), time);
        assert_eq!(retry_after(&headers("soon")), None);
    }
}
