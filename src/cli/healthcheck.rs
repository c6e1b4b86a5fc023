//! `sessiond healthcheck`

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Response, StatusCode, header};
use serde::Serialize;
use tokio::time::timeout;

use super::local_address::reachable;
use super::output::{print, print_json};
use super::{hints, server_client};
use crate::json;
use crate::settings::Config;

/// A server that takes longer to answer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

/// The result as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    ok: bool,
    address: SocketAddr,
    /// The status of the server; null if there is no answer of a server.
    status: Option<String>,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// The health of a server, as it was received.
struct Health {
    http_status: StatusCode,
    status: String,
    text: String,
}

/// Asks the running server for its health at the address of its clients. With `is_live`, only asks
/// whether its process answers.
pub(super) fn run(config: &Config, is_live: bool, is_json: bool) -> anyhow::Result<()> {
    let address = address(config)?;
    let asked = health(address, is_live);
    let status = asked.as_ref().ok().map(|health| health.status.clone());
    if let (Ok(health), false) = (&asked, is_json) {
        print(&health.text)?;
    }
    let result = asked.and_then(|health| match health.http_status {
        StatusCode::OK => Ok(()),
        status => bail!("the server is not healthy ({status})"),
    });
    if is_json {
        print_json(&Checked {
            ok: result.is_ok(),
            address,
            status,
            cause: result.as_ref().err().map(|error| format!("{error:#}")),
        })?;
    }
    result
}

/// Returns the health of the server at an address.
fn health(address: SocketAddr, is_live: bool) -> anyhow::Result<Health> {
    let runtime = server_client::runtime()?;
    let answer = runtime.block_on(async { timeout(PATIENCE, ask(address, is_live)).await });
    let (status, health) = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let hint = format!("start it with `sessiond`, or {}", hints::ADDRESS);
            hints::append(&error, &hint)
        })?;
    health.with_context(|| {
        let hint = hints::ADDRESS;
        format!("the program that answers at {address} is not sessiond ({status}); {hint}")
    })
}

/// Returns the address at which this machine reaches a server with this configuration.
fn address(config: &Config) -> anyhow::Result<SocketAddr> {
    let address = config.server.addresses.first();
    let address = address.context("there is no address to ask")?;
    Ok(reachable(*address))
}

/// Returns the status of a response, and the health of a server if it is one.
async fn ask(address: SocketAddr, is_live: bool) -> anyhow::Result<(StatusCode, Option<Health>)> {
    let path = if is_live { "/healthz" } else { "/health" };
    // By name, since a URL cannot contain an address with a scope.
    let client = server_client::builder().resolve("localhost", address);
    let url = format!("http://localhost:{}{path}", address.port());
    let response = client.build()?.get(url).send().await;
    let response = response.map_err(server_client::root_cause)?;
    let (status, is_json) = (response.status(), is_json(&response));
    let body = server_client::text(response).await?;
    let health = Health::parse(status, body, is_live).filter(|_| is_json);
    Ok((status, health))
}

/// Whether a response has the media type of JSON, with any parameters.
fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

impl Health {
    /// Returns the health in a response; `None` if it is not that of a server.
    fn parse(http_status: StatusCode, text: String, is_live: bool) -> Option<Self> {
        let body: serde_json::Value = json::from_js(text.as_bytes()).ok()?;
        let status = body["status"].as_str()?;
        let expected = match (status, is_live) {
            ("healthy" | "degraded", false) | ("ok", true) => StatusCode::OK,
            ("unhealthy", false) => StatusCode::SERVICE_UNAVAILABLE,
            _ => return None,
        };
        let status = status.to_owned();
        (http_status == expected).then_some(Self {
            http_status,
            status,
            text,
        })
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
