//! The figures of the process, under the names that Prometheus' own clients give them.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Linux counts processor time in hundredths of a second towards programs, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// Asks the system at each scrape. Where it does not tell, a figure is left out.
#[derive(Debug)]
pub(super) struct Process {
    /// When the process began, in seconds of the epoch.
    started: f64,
}

impl Process {
    #[allow(clippy::disallowed_methods)] // It is a figure of the process, not of any session.
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: now.map_or(0.0, |now| now.as_secs_f64()),
        }
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut figures = Figures(encoder);
        figures.write(
            "process_start_time",
            "When the process began, in seconds of the epoch",
            Some(&Unit::Seconds),
            &ConstGauge::new(self.started),
        )?;
        if let Some(seconds) = cpu_seconds() {
            figures.write(
                "process_cpu",
                "The processor time that the process has used",
                Some(&Unit::Seconds),
                &ConstCounter::new(seconds),
            )?;
        }
        if let Some(bytes) = resident_bytes() {
            figures.write(
                "process_resident_memory",
                "The memory that the process holds",
                Some(&Unit::Bytes),
                &ConstGauge::new(bytes),
            )?;
        }
        if let Some(files) = open_files() {
            figures.write(
                "process_open_fds",
                "The files and connections that the process has open",
                None,
                &ConstGauge::new(files),
            )?;
        }
        Ok(())
    }
}

struct Figures<'a>(DescriptorEncoder<'a>);

impl Figures<'_> {
    fn write(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        figure: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = figure.metric_type();
        figure.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may hold anything; the fields begin behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn open_files() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_of_the_process() {
        assert!(cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1024 * 1024));
        assert!(open_files().is_some_and(|files| files > 2));
    }
}
