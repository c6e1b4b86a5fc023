//! The second limit of the machine: a write that is synced to disk.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::measurement::Counter;
use crate::print;

/// Repeatedly overwrites and syncs the same page, and prints the numbers.
pub(crate) fn run(path: &Path, time: Duration) -> anyhow::Result<()> {
    let page = [7; 4096];
    let mut file = File::create(path)?;
    file.write_all(&page)?;
    file.sync_all()?;
    let mut counter = Counter::new()?;
    let start = Instant::now();
    while start.elapsed() < time {
        let before = Instant::now();
        file.rewind()?;
        file.write_all(&page)?;
        file.sync_data()?;
        counter.good(before.elapsed(), page.len());
    }
    let measurement = counter.measurement(start.elapsed());
    print::line(&serde_json::to_string(&measurement)?)?;
    Ok(())
}
