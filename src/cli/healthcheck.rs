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

/// Asks the running server how it is.
pub(super) fn run(config: &Config, question: Question) -> anyhow::Result<()> {
    let address = ask::address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(address, question)).await });
    let answer = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let remedy = format!("start it with `sessiond`, or {}", remedy::ADDRESS);
            remedy::after(&error, &remedy)
        })?;
    if !answer.is_of_a_server(question) {
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

async fn ask(address: SocketAddr, question: Question) -> anyhow::Result<Answer> {
    let mut connection = Connection::open(address).await?;
    let response = connection.get(question.path(), None).await?;
    Ok(Answer {
        status: response.status(),
        is_json: ask::is_of_kind(&response, "application/json"),
        body: text(response.into_body()).await?,
    })
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
