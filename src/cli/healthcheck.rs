//! `sessiond healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Response, StatusCode, header};

use super::{hints, say, server_client};
use crate::json;
use crate::settings::Config;

/// A server that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was answered.
struct Answer {
    status: StatusCode,
    body: String,
    is_json: bool,
}

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether it is ready to serve.
    Ready,
    /// Whether its process answers, whatever the disk does.
    Live,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self::Ready => "/health",
            Self::Live => "/healthz",
        }
    }
}

/// Asks the running server how it is, in the way that its clients reach it.
pub(super) fn run(config: &Config, question: Question) -> anyhow::Result<()> {
    let address = address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(address, question)).await });
    let answer = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let hint = format!("start it with `sessiond`, or {}", hints::ADDRESS);
            hints::append(&error, &hint)
        })?;
    if !answer.is_of_a_server(question) {
        bail!(
            "what answers at {address} is no sessiond ({}); {}",
            answer.status,
            hints::ADDRESS
        );
    }
    say(&answer.body)?;
    if answer.status == StatusCode::OK {
        Ok(())
    } else {
        bail!("the server is not healthy ({})", answer.status)
    }
}

/// Returns where a server with this configuration is reached from here.
fn address(config: &Config) -> anyhow::Result<SocketAddr> {
    let mut address = *config
        .server
        .addresses
        .first()
        .context("there is no address to ask")?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

async fn ask(address: SocketAddr, question: Question) -> anyhow::Result<Answer> {
    // By a name, since an address with a scope has no place in a URL.
    let client = server_client::builder().resolve("localhost", address);
    let url = format!("http://localhost:{}{}", address.port(), question.path());
    let response = client.build()?.get(url).send().await;
    let response = response.map_err(server_client::root_cause)?;
    Ok(Answer {
        status: response.status(),
        is_json: is_json(&response),
        body: server_client::text(response).await?,
    })
}

/// Whether an answer is JSON, with whatever parameters.
fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

impl Answer {
    /// Whether it says how a server is, be it in the words of an error.
    fn is_of_a_server(&self, question: Question) -> bool {
        let body: Option<serde_json::Value> = json::from_js(self.body.as_bytes()).ok();
        let status = body.as_ref().and_then(|body| body["status"].as_str());
        let says_how_it_is = match (question, status) {
            (Question::Ready, Some("healthy" | "degraded")) | (Question::Live, Some("ok")) => {
                self.status == StatusCode::OK
            }
            (Question::Ready, Some("unhealthy")) => self.status == StatusCode::SERVICE_UNAVAILABLE,
            _ => false,
        };
        self.is_json && says_how_it_is
    }
}

#[cfg(test)]
mod tests {
    use axum::http;

    use super::*;

    #[test]
    fn json_is_known_with_its_parameters() {
        for (found, is_known) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html", false),
            ("application/json5", false),
        ] {
            let response = http::Response::builder().header(header::CONTENT_TYPE, found);
            let response = response.body("").unwrap();
            assert_eq!(is_json(&response.into()), is_known, "{found}");
        }
        assert!(!is_json(&http::Response::new("").into()));
    }
}
