//! How much of the database's file is free, measured now and then.
//!
//! The only way to tell is to walk through the whole file. So that this never matters, there is a
//! pause after each measurement that is a thousand times as long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The shortest pause between two measurements.
const PAUSE: Duration = Duration::from_mins(1);

/// How many times longer than a measurement the pause after it is.
const SHARE: u32 = 1000;

/// Measures until it is told to stop.
pub async fn watch(app: Arc<App>, stop: CancellationToken) {
    let measuring = async {
        loop {
            let took = measure(&app).await;
            let pause = took.saturating_mul(SHARE).max(PAUSE);
            app.clock().sleep(pause).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(measuring).await;
}

async fn measure(app: &Arc<App>) -> Duration {
    let started = Instant::now();
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || app.measure_free_pages()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(?error, "the free pages cannot be counted"),
        Err(error) => tracing::debug!(%error, "the free pages cannot be counted"),
    }
    started.elapsed()
}
