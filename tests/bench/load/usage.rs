//! What a process uses, as Linux tells it; nothing elsewhere.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// How many ticks a second of processor time has; Linux tells every program 100.
const TICKS: u32 = 100;

/// The processor time that a process has used.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs((user + system).into()) / TICKS)
}

/// How much memory a process has now and had at most, in bytes.
pub(crate) fn memory(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_end_matches("kB").trim().parse().ok()
    };
    Some((kilobytes("VmRSS:")? * 1024, kilobytes("VmHWM:")? * 1024))
}

/// How busy the machine was in the last minute.
pub(crate) fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// How much of the disk a file takes; one with holes takes less than its length.
pub(crate) fn on_disk(file: &Metadata) -> u64 {
    // That is the unit, whatever the file system's own is.
    file.blocks() * 512
}
