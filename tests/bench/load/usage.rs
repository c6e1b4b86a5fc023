//! The resources that a process uses. Linux only; `None` elsewhere.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// Ticks per second of processor time; 100 for every program on Linux.
const TICKS: u32 = 100;

/// Returns the processor time that a process has used.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs((user + system).into()) / TICKS)
}

/// Returns the current and the peak memory of a process, in bytes.
pub(crate) fn memory(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_end_matches("kB").trim().parse().ok()
    };
    Some((kilobytes("VmRSS:")? * 1024, kilobytes("VmHWM:")? * 1024))
}

/// Returns the load average of the last minute.
pub(crate) fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Returns the bytes that a file takes on disk; a sparse file takes less than its length.
pub(crate) fn on_disk(file: &Metadata) -> u64 {
    // Blocks are of 512 bytes, whatever the file system's own unit.
    file.blocks() * 512
}
