//! `sessiond healthcheck`

use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper::StatusCode;

use super::{ask, remedy, say};
use crate::config::Config;

/// A server that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the running server how it is.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let address = ask::address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asking = async {
        let response = ask::get(config, address, "/health").await?;
        let status = response.status();
        anyhow::Ok((status, ask::text(response.into_body()).await?))
    };
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
    let (status, body) = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))
        .map_err(|error| {
            let remedy = format!("start it with `sessiond`, or {}", remedy::ADDRESS);
            remedy::after(&error, &remedy)
        })?;
    say(&body);
    if status == StatusCode::OK {
        Ok(())
    } else {
        bail!("the server is not healthy ({status})")
    }
}
