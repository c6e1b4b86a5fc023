//! The limits of the machine, measured in the same minute.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::child::this_program;

/// The speed of overwriting and syncing a page, or of committing a row. Times are in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Writes {
    /// Writes per second.
    pub(crate) per_second: f64,
    /// The median latency.
    pub(crate) p50: f64,
    /// The latency that one in a hundred writes exceeds.
    pub(crate) p99: f64,
}

/// Measures bare syncs.
pub(crate) fn syncs(directory: &Path, time: Duration) -> anyhow::Result<Writes> {
    measure("sync", &directory.join("page"), time)
}

/// Measures bare commits.
pub(crate) fn rows(directory: &Path, time: Duration) -> anyhow::Result<Writes> {
    measure("row", &directory.join("rows.redb"), time)
}

/// Measures in a process of its own.
fn measure(what: &str, file: &Path, time: Duration) -> anyhow::Result<Writes> {
    let seconds = time.as_secs_f64().to_string();
    let ended = this_program(&[what.as_ref(), file.as_os_str(), seconds.as_ref()])?
        .stderr(Stdio::inherit())
        .output()?;
    if !ended.status.success() {
        bail!("{} cannot be written", file.display());
    }
    serde_json::from_slice(&ended.stdout).with_context(|| format!("the output of `{what}`"))
}
