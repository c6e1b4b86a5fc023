//! What the machine could do at best, in the same minute.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::child::this_program;

/// How fast a page is overwritten and synced, or a row committed. Times are in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Writes {
    /// How many a second.
    pub(crate) per_second: f64,
    /// The median.
    pub(crate) p50: f64,
    /// What one in a hundred exceeds.
    pub(crate) p99: f64,
}

/// Measures bare syncs.
pub(crate) fn syncs(folder: &Path, time: Duration) -> anyhow::Result<Writes> {
    measure("sync", &folder.join("page"), time)
}

/// Measures bare commits.
pub(crate) fn rows(folder: &Path, time: Duration) -> anyhow::Result<Writes> {
    measure("row", &folder.join("rows.redb"), time)
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
    serde_json::from_slice(&ended.stdout).with_context(|| format!("the figures of `{what}`"))
}
