//! Requests to the servers behind the agents, and their errors.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, Url, redirect};

use super::connection_error::unanswered;
pub(crate) use super::error_response::ErrorResponse;
use super::redact::Redactor;
pub(crate) use super::repeat::Repeat;
use crate::agents::backend::BackendError;
use crate::domain::failure::FailureReason;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Some servers close idle connections after five seconds, and a request on one that is being
/// closed fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

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

/// Sends a request and returns its response, whatever the status.
pub(crate) async fn send(
    request: RequestBuilder,
    redactor: &Redactor,
    repeat: Repeat,
) -> Result<Response, BackendError> {
    let sent = request.send().await;
    sent.map_err(|error| unanswered(error, redactor, repeat))
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
    Err(ErrorResponse::read(response).await)
}

/// Returns a parser's error without the text that it parsed.
pub(crate) fn invalid_json(what: &str, error: &serde_json::Error) -> BackendError {
    let (line, column) = (error.line(), error.column());
    let cause = format!("{what} is not valid, at its line {line} and column {column}");
    BackendError::new(FailureReason::InvalidReply, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
