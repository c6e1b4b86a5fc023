//! `sessiond healthcheck`

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::StatusCode;

use super::connection::{Connection, text};
use super::{ask, remedy, say};
use crate::config::Config;
use crate::json;

/// A server that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was answered.
struct Answer {
    status: StatusCode,
    body: String,
    is_json: bool,
}

/// Asks the running server how it is.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let address = ask::address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(address)).await });
    let answer = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let remedy = format!("start it with `sessiond`, or {}", remedy::ADDRESS);
            remedy::after(&error, &remedy)
        })?;
    if !answer.is_of_a_server() {
        bail!(
            "what answers at {address} is no sessiond ({}); {}",
            answer.status,
            remedy::ADDRESS
        );
    }
    say(&answer.body)?;
    if answer.status == StatusCode::OK {
        Ok(())
    } else {
        bail!("the server is not healthy ({})", answer.status)
    }
}

async fn ask(address: SocketAddr) -> anyhow::Result<Answer> {
    let mut connection = Connection::open(address).await?;
    let response = connection.get("/health", None).await?;
    Ok(Answer {
        status: response.status(),
        is_json: ask::is_of_kind(&response, "application/json"),
        body: text(response.into_body()).await?,
    })
}

impl Answer {
    /// Whether it says how a server is, be it in the words of an error.
    fn is_of_a_server(&self) -> bool {
        let body: Option<serde_json::Value> = json::from_js(self.body.as_bytes()).ok();
        let status = body.as_ref().and_then(|body| body["status"].as_str());
        let says_how_it_is = match status {
            Some("healthy" | "degraded") => self.status == StatusCode::OK,
            Some("unhealthy") => self.status == StatusCode::SERVICE_UNAVAILABLE,
            _ => false,
        };
        self.is_json && says_how_it_is
    }
}
