//! The room inside the database's file, measured now and then.
//!
//! The only way to tell is to walk through the whole file. So that this never matters, there is a
//! long pause after each walk, and a short one where the disk is full and somebody waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The pause after a measurement that took no time.
const PAUSE: Duration = Duration::from_mins(1);

/// How many times longer than the measurement the pause after it is.
const PAUSE_FACTOR: u32 = 1000;

/// The same where the disk is full.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
const SHORT_PAUSE_FACTOR: u32 = 10;

/// Measures until it is told to stop.
pub async fn watch(app: Arc<App>, stop: CancellationToken) {
    let measuring = async {
        loop {
            let took = measure(&app).await;
            let pause = (took * PAUSE_FACTOR).max(PAUSE);
            let short_pause = (took * SHORT_PAUSE_FACTOR).max(SHORT_PAUSE);
            let wanted = async {
                tokio::time::sleep(short_pause).await;
                app.store().space().wanted().await;
            };
            tokio::select! {
                () = app.clock().sleep(pause) => {}
                () = wanted => {}
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
        Ok(Err(error)) => tracing::debug!(?error, "the room in the database cannot be measured"),
        Err(error) => tracing::debug!(%error, "the room in the database cannot be measured"),
    }
    started.elapsed()
}
