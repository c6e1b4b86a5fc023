//! The metrics of the process, under the names that Prometheus' own clients give them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_process::collector::collect;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Asks the system at each scrape. What it does not say is left out.
#[derive(Debug)]
pub(super) struct Process {
    /// In seconds of the epoch. The system tells it in whole seconds, and two starts may be closer.
    started: f64,
}

impl Process {
    #[allow(clippy::disallowed_methods)] // It is of the process, not of any session.
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: now.map_or(0.0, |now| now.as_secs_f64()),
        }
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let process = collect();
        let mut writer = Writer(encoder);
        writer.write(
            "process_start_time",
            "When the process began, in seconds of the epoch",
            Some(&Unit::Seconds),
            Some(ConstGauge::new(self.started)),
        )?;
        writer.write(
            "process_cpu",
            "The processor time that the process has used",
            Some(&Unit::Seconds),
            process.cpu_seconds_total.map(ConstCounter::new),
        )?;
        writer.write(
            "process_resident_memory",
            "The memory that the process holds",
            Some(&Unit::Bytes),
            process.resident_memory_bytes.map(ConstGauge::new),
        )?;
        writer.write(
            "process_open_fds",
            "The files and connections that the process has open",
            None,
            process.open_fds.map(ConstGauge::new),
        )
    }
}

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn write(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: Option<impl EncodeMetric>,
    ) -> fmt::Result {
        let Some(metric) = metric else {
            return Ok(());
        };
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }
}
