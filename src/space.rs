//! Measures the free space within the database file periodically.
//!
//! A measurement reads the whole file. The pause after it is long, but short while the disk is full
//! and a write waits for the result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The minimum pause.
const PAUSE: Duration = Duration::from_mins(1);

/// The ratio of the pause to the time of the measurement.
const PAUSE_FACTOR: u32 = 1000;

/// The minimum pause while the disk is full, and its ratio.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
const SHORT_PAUSE_FACTOR: u32 = 10;

/// Measures until `stop` is cancelled.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let measuring = async {
        loop {
            let took = measure(&app).await;
            let pause = (took * PAUSE_FACTOR).max(PAUSE);
            let short_pause = (took * SHORT_PAUSE_FACTOR).max(SHORT_PAUSE);
            let measurement_requested = async {
                tokio::time::sleep(short_pause).await;
                app.store().space().measurement_requested().await;
            };
            tokio::select! {
                () = app.clock().sleep(pause) => {}
                () = measurement_requested => {}
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(measuring).await;
}

async fn measure(app: &Arc<App>) -> Duration {
    let started = Instant::now();
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || app.measure_space()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(?error, "the free space cannot be measured"),
        Err(error) => tracing::debug!(%error, "the free space cannot be measured"),
    }
    started.elapsed()
}
