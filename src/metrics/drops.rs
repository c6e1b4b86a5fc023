//! What the event bus has dropped.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;

use super::process::encode;
use crate::events::DropCounter;

/// The activities that were dropped, read at each scrape.
#[derive(Debug)]
pub(super) struct ActivityDrops(pub(super) DropCounter);

impl Collector for ActivityDrops {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Activities of agents that were dropped or replaced because of a limit";
        let dropped = Some(ConstCounter::new(self.0.get()));
        encode(&mut encoder, "activity_dropped", help, None, dropped)
    }
}
