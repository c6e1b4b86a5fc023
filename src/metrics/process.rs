//! The metrics of the process, with the names of Prometheus' own clients.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_process::collector::collect;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Reads the metrics from the system at each scrape. Those that the system does not provide are
/// left out.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since the epoch. The system's own value has whole seconds, which two starts may
    /// share.
    started: f64,
}

impl Process {
    #[allow(clippy::disallowed_methods)] // Not a time of sessions.
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: now.map_or(0.0, |now| now.as_secs_f64()),
        }
    }
}

/// What the process uses of the machine. `None` where the system does not say.
pub(super) struct ProcessUsage {
    /// Processor time since the start.
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
}

/// Reads the usage from the system.
pub(super) fn usage() -> ProcessUsage {
    let process = collect();
    ProcessUsage {
        cpu_seconds: process.cpu_seconds_total,
        resident_bytes: process.resident_memory_bytes,
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let process = collect();
        let seconds = Some(&Unit::Seconds);
        let started = Some(ConstGauge::new(self.started));
        let help = "Start time of the process, in seconds since the epoch";
        encode(&mut encoder, "process_start_time", help, seconds, started)?;
        let cpu = process.cpu_seconds_total.map(ConstCounter::new);
        let help = "Processor time used by the process";
        encode(&mut encoder, "process_cpu", help, seconds, cpu)?;
        let memory = process.resident_memory_bytes.map(ConstGauge::new);
        let (bytes, help) = (Some(&Unit::Bytes), "Resident memory of the process");
        encode(&mut encoder, "process_resident_memory", help, bytes, memory)?;
        let fds = process.open_fds.map(ConstGauge::new);
        let help = "Open files and connections of the process";
        encode(&mut encoder, "process_open_fds", help, None, fds)
    }
}

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    metric: Option<impl EncodeMetric>,
) -> fmt::Result {
    metric.map_or(Ok(()), |metric| {
        metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
    })
}
