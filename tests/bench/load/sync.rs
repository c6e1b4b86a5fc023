//! The second limit: a write that is on disk, and nothing else.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::figures::Counter;
use crate::print;

/// Overwrites the same page and syncs it, one after the other; prints the figures.
pub(crate) fn run(path: &Path, time: Duration) -> anyhow::Result<()> {
    let page = [7; 4096];
    let mut file = File::create(path)?;
    file.write_all(&page)?;
    file.sync_all()?;
    let mut tally = Counter::new()?;
    let start = Instant::now();
    while start.elapsed() < time {
        let before = Instant::now();
        file.rewind()?;
        file.write_all(&page)?;
        file.sync_data()?;
        tally.good(before.elapsed(), page.len());
    }
    let figures = tally.figures(start.elapsed());
    print::line(&serde_json::to_string(&figures)?)?;
    Ok(())
}
