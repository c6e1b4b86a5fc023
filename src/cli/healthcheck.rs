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

/// Asks the running server for its health at the address of its clients. With `is_live`, only asks
/// whether its process answers.
pub(super) fn run(config: &Config, is_live: bool) -> anyhow::Result<()> {
    let address = address(config)?;
    let runtime = server_client::runtime()?;
    let answer = runtime.block_on(async { timeout(PATIENCE, ask(address, is_live)).await });
    let (status, health) = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let hint = format!("start it with `sessiond`, or {}", hints::ADDRESS);
            hints::append(&error, &hint)
        })?;
    let Some(health) = health else {
        let hint = hints::ADDRESS;
        bail!("the program that answers at {address} is not sessiond ({status}); {hint}");
    };
    print(&health)?;
    if status != StatusCode::OK {
        bail!("the server is not healthy ({status})");
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

/// Returns the status of a response, and its body if that is the health of a server.
async fn ask(address: SocketAddr, is_live: bool) -> anyhow::Result<(StatusCode, Option<String>)> {
    let path = if is_live { "/healthz" } else { "/health" };
    // By name, since a URL cannot contain an address with a scope.
    let client = server_client::builder().resolve("localhost", address);
    let url = format!("http://localhost:{}{path}", address.port());
    let response = client.build()?.get(url).send().await;
    let response = response.map_err(server_client::root_cause)?;
    let (status, is_json) = (response.status(), is_json(&response));
    let body = server_client::text(response).await?;
    let is_health = is_json && is_health(status, &body, is_live);
    Ok((status, is_health.then_some(body)))
}

/// Whether a response has the media type of JSON, with any parameters.
fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn is_health(status: StatusCode, body: &str, is_live: bool) -> bool {
    let body: serde_json::Value = json::from_js(body.as_bytes()).unwrap_or_default();
    match (body["status"].as_str(), is_live) {
        (Some("healthy" | "degraded"), false) | (Some("ok"), true) => status == StatusCode::OK,
        (Some("unhealthy"), false) => status == StatusCode::SERVICE_UNAVAILABLE,
        _ => false,
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
