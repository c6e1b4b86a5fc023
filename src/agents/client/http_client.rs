//! Talking to the servers behind the agents.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::redact::Redactor;
use super::sse::Event;
use crate::agents::backend::{BackendError, RetryAfter};
use crate::domain::time::Timestamp;
use crate::json;

/// A server that takes longer to accept a connection is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are given up soon: some servers close theirs after five seconds, and a
/// request on one that is being closed fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a refusal's body is waited for.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// How much of a refusal is read for the log, in bytes.
const MAX_REFUSAL: usize = 16 * 1024;

/// The client that all backends share: it follows no redirect and uses no proxy.
pub(in crate::agents) fn client() -> Result<Client, reqwest::Error> {
    // Somebody else may have chosen one already, which does as well.
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
        // A machine without certificates can still speak to the servers that need none.
        tracing::warn!(%error, "the system's certificates cannot be read; https will fail");
        builder().tls_certs_only([]).build()
    })
}

/// Reads the address of a server.
pub(in crate::agents) fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_http = matches!(url.scheme(), "http" | "https");
    (is_http && url.has_host()).then_some(url)
}

/// The address with this path behind its own.
pub(in crate::agents) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let own = base.path().trim_end_matches('/');
    url.set_path(&format!("{own}{path}"));
    url
}

/// What asking twice does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agents) enum Repeat {
    /// No harm: a model is only asked once more.
    Harmless,
    /// The agent may act twice, so it is asked again only where it has not begun.
    ActsTwice,
}

impl Repeat {
    /// Whether a refusal may pass.
    fn may_pass(self, status: StatusCode) -> bool {
        match status.as_u16() {
            429 | 502 | 503 | 504 => true,
            // 529: overloaded, in the words of several hosts of models.
            408 | 500 | 529 => self == Self::Harmless,
            _ => false,
        }
    }
}

/// Sends a request; whatever the answer's status is.
pub(in crate::agents) async fn send(
    request: RequestBuilder,
    redactor: &Redactor,
    repeat: Repeat,
) -> Result<Response, BackendError> {
    request.send().await.map_err(|error| {
        // A request that was sent and not answered may have been carried out.
        let is_unanswered = error.is_request() && !error.is_timeout();
        let may_pass = error.is_connect() || is_unanswered && repeat == Repeat::Harmless;
        let detail = redactor.redact(&in_words(error));
        if may_pass {
            return BackendError::Transient {
                detail,
                retry_after: None,
            };
        }
        BackendError::Final(detail)
    })
}

/// Lets a success pass.
pub(in crate::agents) async fn accept(
    response: Response,
    redactor: &Redactor,
    repeat: Repeat,
) -> Result<Response, BackendError> {
    let accepted = check(response).await;
    accepted.map_err(|refusal| refusal.into_error(redactor, repeat))
}

/// The same, for a caller that looks at the refusal itself.
pub(in crate::agents) async fn check(response: Response) -> Result<Response, Refusal> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(Refusal {
        status: response.status(),
        retry_after: retry_after(response.headers()),
        body: beginning(response).await,
    })
}

/// An answer that is no success.
#[derive(Debug)]
pub(in crate::agents) struct Refusal {
    pub(in crate::agents) status: StatusCode,
    retry_after: Option<RetryAfter>,
    /// The beginning of the body.
    pub(in crate::agents) body: Vec<u8>,
}

impl Refusal {
    /// Why the server refused, which it may do for a while only.
    pub(in crate::agents) fn into_error(self, redactor: &Redactor, repeat: Repeat) -> BackendError {
        let Self {
            status,
            retry_after,
            body,
        } = self;
        let said = redactor.redact(&error_text(&body));
        let asks = match retry_after {
            Some(RetryAfter::Span(span)) => {
                format!(", to be asked again in {} s", span.as_secs())
            }
            _ => String::new(),
        };
        let detail = format!("it answered {status}{asks}: {said}");
        if repeat.may_pass(status) {
            return BackendError::Transient {
                detail,
                retry_after,
            };
        }
        BackendError::Final(detail)
    }
}

/// The failure that an event tells of.
pub(in crate::agents) fn told_error(event: &Event, redactor: &Redactor) -> BackendError {
    told(&event.data, redactor)
}

/// The failure that a part of an answer tells of.
pub(in crate::agents) fn told(text: &str, redactor: &Redactor) -> BackendError {
    let said = redactor.redact(&error_text(text.as_bytes()));
    BackendError::Final(format!("it answered an error: {said}"))
}

/// The data of an event.
pub(in crate::agents) fn data<T: DeserializeOwned>(event: &Event) -> Result<T, BackendError> {
    json::from_js(event.data.as_bytes()).map_err(|error| not_understood("an event", &error))
}

/// What a server says of an error: a text, or an object around one.
pub(in crate::agents) fn error_text(body: &[u8]) -> String {
    let body = json::well_formed(body);
    let text = String::from_utf8_lossy(&body);
    let Ok(body) = json::from_js::<Value>(text.as_bytes()) else {
        return text.trim().to_owned();
    };
    error_in(&body).unwrap_or_else(|| text.trim().to_owned())
}

/// The same, of an answer that was read.
pub(in crate::agents) fn error_in(body: &Value) -> Option<String> {
    match body {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first().and_then(error_in),
        Value::Object(fields) => ["error", "message", "detail", "msg", "code"]
            .iter()
            .find_map(|name| error_in(fields.get(*name)?)),
        _ => None,
    }
}

/// A reader's complaint without what it read.
pub(in crate::agents) fn not_understood(what: &str, error: &serde_json::Error) -> BackendError {
    BackendError::Final(format!(
        "{what} is not what it should be, at its line {} and column {}",
        error.line(),
        error.column()
    ))
}

/// Reads what of a refusal is worth to be logged, as far as it comes in time: the status says the
/// rest.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(part)) = response.chunk().await {
            body.extend_from_slice(&part);
            if body.len() > MAX_REFUSAL {
                break;
            }
        }
    };
    // Whether it is all of it or not.
    let _ = tokio::time::timeout(REFUSAL_TIME, reading).await;
    body
}

fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    // Some servers give fractions, which the standard has not.
    if let Ok(seconds) = text.parse::<f64>()
        && seconds >= 0.0
    {
        let longest = Duration::from_secs(u64::from(u32::MAX));
        let span = Duration::try_from_secs_f64(seconds).unwrap_or(longest);
        return Some(RetryAfter::Span(span.min(longest)));
    }
    let time = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some(RetryAfter::Time(Timestamp(time.timestamp_millis())))
}

/// An error with what caused it. The address is left out, since it may hold a password.
pub(in crate::agents) fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_in_whatever_is_around_it() {
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
    fn an_address_is_one_of_a_server() {
        let base = address("http://localhost:1234/v1/").unwrap();
        assert_eq!(below(&base, "/a").as_str(), "http://localhost:1234/v1/a");
        let host = address("https://example.org").unwrap();
        assert_eq!(below(&host, "/a").as_str(), "https://example.org/a");
        for wrong in ["", "localhost:1234", "ftp://host", "/v1", "http://"] {
            assert!(address(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_server_says_in_two_ways_when_to_ask_again() {
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
