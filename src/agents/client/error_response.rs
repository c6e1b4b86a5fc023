//! Answers whose status is not a success.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};

use super::address;
use super::redact::Redactor;
use super::repeat::Repeat;
use super::reported_error::ReportedError;
use super::status;
use crate::agents::backend::{BackendError, RetryAfter};
use crate::domain::failure::FailureReason;
use crate::domain::time::Timestamp;

/// How long to wait for the body of an error response.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of an error response is read, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// A response that is not a success.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    retry_after: Option<RetryAfter>,
    /// Where it redirects to, without secrets.
    location: Option<String>,
    /// The beginning of the body.
    pub(crate) body: Vec<u8>,
}

impl ErrorResponse {
    pub(super) async fn read(response: Response) -> Self {
        let headers = response.headers();
        Self {
            status: response.status(),
            retry_after: retry_after(headers),
            location: location(headers, response.url()),
            body: beginning(response).await,
        }
    }

    pub(crate) fn into_error(self, redactor: &Redactor, repeat: Repeat) -> BackendError {
        let reported = ReportedError::parse(&self.body);
        let error = BackendError::new(self.reason(&reported), self.cause(&reported, redactor));
        if self.allows_retry(repeat) {
            return error.with_retry(self.retry_after);
        }
        error
    }

    /// Returns the reason that clients receive. The status decides, unless the body says that what
    /// was sent is the cause, or that the server is overloaded.
    fn reason(&self, reported: &ReportedError) -> FailureReason {
        let by_status = status::reason(self.status.as_u16());
        match (by_status, reported.reason()) {
            (FailureReason::Busy, _) if reported.is_quota() => FailureReason::Misconfigured,
            (
                FailureReason::Misconfigured,
                Some(
                    named @ (FailureReason::Refused | FailureReason::TooLong | FailureReason::Busy),
                ),
            ) => named,
            _ => by_status,
        }
    }

    fn cause(&self, reported: &ReportedError, redactor: &Redactor) -> String {
        let status = self.status;
        let shown = status::shown(status);
        if let Some(location) = &self.location
            && status.is_redirection()
        {
            let location = redactor.redact(location);
            return format!(
                "it answered {shown} and redirects to {location}, which is not followed"
            );
        }
        let wait = match self.retry_after {
            Some(RetryAfter::Span(span)) => format!(", retry after {} s", span.as_secs()),
            _ => String::new(),
        };
        let cause = format!("it answered {shown}{wait}: {}", reported.describe(redactor));
        let is_wrong_path = matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        if is_wrong_path && !reported.names_model() {
            return redactor.hinted(cause);
        }
        cause
    }

    fn allows_retry(&self, repeat: Repeat) -> bool {
        match self.status.as_u16() {
            429 | 502 | 503 | 504 => true,
            408 | 500 | 529 => repeat == Repeat::Harmless,
            _ => false,
        }
    }
}

/// Reads the beginning of an error's body, as far as it arrives in time.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(part)) = response.chunk().await {
            body.extend_from_slice(&part);
            if body.len() > MAX_BODY_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_TIMEOUT, reading).await;
    body
}

/// Returns where a response redirects to: scheme, host, port and path.
fn location(headers: &HeaderMap, base: &Url) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let url = base.join(location).ok()?;
    Some(address::without_secrets(&url))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> BackendError {
        let response = ErrorResponse {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            location: None,
            body: body.into(),
        };
        let redactor = Redactor::default().with_hint("is the address right?");
        response.into_error(&redactor, Repeat::Harmless)
    }

    #[test]
    fn the_body_may_refine_the_reason_of_the_status() {
        use FailureReason::{Busy, Misconfigured, Refused, TooLong, Unavailable};

        let named = |name: &str| format!(r#"{{"error":{{"message":"x","code":"{name}"}}}}"#);
        let flagged = r#"{"error":{"code":403,"metadata":{"flagged_input":"y"}}}"#.to_owned();
        for (status, body, reason) in [
            (400, named("unknown_parameter"), Misconfigured),
            (400, named("content_filter"), Refused),
            (400, named("context_length_exceeded"), TooLong),
            (403, flagged, Refused),
            (403, named("rate_limit_exceeded"), Busy),
            (401, named("server_error"), Misconfigured),
            (429, named("insufficient_quota"), Misconfigured),
            (429, named("invalid_request_error"), Busy),
            (500, named("invalid_api_key"), Unavailable),
            (503, named("overloaded"), Unavailable),
        ] {
            assert_eq!(error(status, &body).reason, reason, "{status} {body}");
        }
    }

    #[test]
    fn a_wrong_path_has_a_hint_and_a_missing_model_has_none() {
        let missing = r#"{"error":{"message":"model \"m\" not found, try pulling it first"}}"#;
        for (status, body, has_hint) in [
            (404, "404 page not found", true),
            (404, r#"{"detail":"Not Found"}"#, true),
            (405, "", true),
            (404, missing, false),
            (
                404,
                r#"{"error":{"code":"NOT_FOUND","message":"Agent not found"}}"#,
                false,
            ),
            (400, "no", false),
        ] {
            let cause = error(status, body).cause;
            assert_eq!(
                cause.ends_with("; is the address right?"),
                has_hint,
                "{cause}"
            );
            assert!(
                cause.starts_with(&format!("it answered {status} ")),
                "{cause}"
            );
        }
    }

    #[test]
    fn a_status_without_a_name_is_a_number() {
        let cause = |status| error(status, "Overloaded").cause;
        assert_eq!(cause(529), "it answered 529: Overloaded");
        assert_eq!(cause(504), "it answered 504 Gateway Timeout: Overloaded");
    }

    #[test]
    fn a_redirect_names_where_it_points_without_secrets() {
        let base = Url::parse("http://h/v1/chat/completions").unwrap();
        for (header, shown) in [
            ("https://u:p@other/v2?key=k", "https://other/v2"),
            ("/login?next=x", "http://h/login"),
            ("http://[", ""),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, header.parse().unwrap())]);
            assert_eq!(location(&headers, &base).unwrap_or_default(), shown);
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
