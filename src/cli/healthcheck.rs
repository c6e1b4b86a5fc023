//! `sessiond healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Response, StatusCode, header};
use tokio::time::timeout;

use super::output::print;
use super::{hints, server_client};
use crate::json;
use crate::settings::Config;

/// A server that takes longer to answer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

struct Answer {
    status: StatusCode,
    body: String,
    is_json: bool,
}

/// Asks the running server for its health at the address of its clients. With `is_live`, only asks
/// whether its process answers.
pub(super) fn run(config: &Config, is_live: bool) -> anyhow::Result<()> {
    let address = address(config)?;
    let path = if is_live { "/healthz" } else { "/health" };
    let runtime = server_client::runtime()?;
    let answer = runtime.block_on(async { timeout(PATIENCE, ask(address, path)).await });
    let answer = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let hint = format!("start it with `sessiond`, or {}", hints::ADDRESS);
            hints::append(&error, &hint)
        })?;
    if !answer.is_health(is_live) {
        bail!(
            "the program that answers at {address} is not sessiond ({}); {}",
            answer.status,
            hints::ADDRESS
        );
    }
    print(&answer.body)?;
    if answer.status != StatusCode::OK {
        bail!("the server is not healthy ({})", answer.status);
    }
    Ok(())
}

/// Returns the address at which this machine reaches a server with this configuration.
fn address(config: &Config) -> anyhow::Result<SocketAddr> {
    let address = config.server.addresses.first();
    let mut address = *address.context("there is no address to ask")?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    // By name, since a URL cannot contain an address with a scope.
    let client = server_client::builder().resolve("localhost", address);
    let url = format!("http://localhost:{}{path}", address.port());
    let response = client.build()?.get(url).send().await;
    let response = response.map_err(server_client::root_cause)?;
    Ok(Answer {
        status: response.status(),
        is_json: is_json(&response),
        body: server_client::text(response).await?,
    })
}

/// Whether a response has the media type of JSON, with any parameters.
fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

impl Answer {
    /// Whether it is what a server answers about its health.
    fn is_health(&self, is_live: bool) -> bool {
        let body: serde_json::Value = json::from_js(self.body.as_bytes()).unwrap_or_default();
        let expected = match (body["status"].as_str(), is_live) {
            (Some("healthy" | "degraded"), false) | (Some("ok"), true) => StatusCode::OK,
            (Some("unhealthy"), false) => StatusCode::SERVICE_UNAVAILABLE,
            _ => return false,
        };
        self.is_json && self.status == expected
    }
}

#[cfg(test)]
mod tests {
    use axum::http;

    use super::*;

    #[test]
    fn json_is_recognized_with_its_parameters() {
        for (found, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html", false),
            ("application/json5", false),
        ] {
            let response = http::Response::builder().header(header::CONTENT_TYPE, found);
            let response = response.body("").unwrap();
            assert_eq!(is_json(&response.into()), expected, "{found}");
        }
        assert!(!is_json(&http::Response::new("").into()));
    }
}
