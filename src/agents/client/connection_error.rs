//! Requests without an answer.

use std::error::Error;
use std::io;

use super::redact::Redactor;
use super::repeat::Repeat;
use crate::agents::backend::BackendError;
use crate::domain::failure::FailureReason;

/// Returns the error of a request without an answer.
///
/// A server that is down, or whose name cannot be resolved at present, may come back. One whose
/// certificate is not trusted, or that does not speak TLS or HTTP at all, waits for the operator.
pub(super) fn unanswered(
    error: reqwest::Error,
    redactor: &Redactor,
    repeat: Repeat,
) -> BackendError {
    let error = error.without_url();
    let new = |reason, cause: String| BackendError::new(reason, redactor.redact(&cause));
    if error.is_builder() {
        return new(FailureReason::Misconfigured, describe(error));
    }
    if let Some(tls) = find::<rustls::Error>(&error) {
        let hint = match tls {
            rustls::Error::InvalidMessage(_) => "; is its address http:// and not https://?",
            _ => "",
        };
        let cause = format!("cannot connect, TLS failed: {tls}{hint}");
        return new(FailureReason::Misconfigured, cause);
    }
    if find::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse) {
        let cause = format!("it does not speak HTTP: {}", root(&error));
        return new(FailureReason::Misconfigured, cause);
    }
    if error.is_connect() {
        let cause = format!("cannot connect: {}", root(&error));
        // The request was not sent.
        return new(FailureReason::Unavailable, cause).with_retry(None);
    }
    let cause = format!("the connection failed before its answer: {}", root(&error));
    let failed = new(FailureReason::Unavailable, cause);
    // The request may have been carried out.
    if error.is_request() && !error.is_timeout() && repeat == Repeat::Harmless {
        return failed.with_retry(None);
    }
    failed
}

/// Describes an error and its causes, without the URL, which may contain a password.
pub(super) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Returns the text of the first cause.
fn root(error: &reqwest::Error) -> String {
    let mut first: &dyn Error = error;
    while let Some(cause) = first.source() {
        first = cause;
    }
    first.to_string()
}

/// Returns the error of this type among the causes of another.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error hides the error that it consists of behind the cause of that.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
