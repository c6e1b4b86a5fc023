//! Verifies the database file at the start and at every interval.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The maximum pause after a pass that was not completed.
const RETRY: Duration = Duration::from_mins(1);

/// Verifies until `stop` is cancelled.
pub async fn run(app: Arc<App>, interval: Duration, stop: CancellationToken) {
    let verifying = async {
        loop {
            let is_complete = app.verify().await;
            let pause = if is_complete {
                interval
            } else {
                interval.min(RETRY)
            };
            app.clock().sleep(pause).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(verifying).await;
}
