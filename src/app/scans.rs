//! Scans: reads of much that is stored, on threads for blocking work and within a time budget.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::application::App;
use super::error::AppError;
use super::scan_limits::{Abandon, ScanTimer};

impl App {
    /// Runs a scan, which `read` makes, off the async workers once its turn has come.
    ///
    /// # Errors
    /// Too many scans wait, or the scan fails.
    pub(super) async fn scan<T, F>(
        self: &Arc<Self>,
        read: impl FnOnce(Arc<Self>, ScanTimer) -> F + Send + 'static,
    ) -> Result<T, AppError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, AppError>>,
    {
        let permit = self.scans.admit().await?;
        // Dropped with this future, which happens if the client disconnects.
        let abandon = Abandon::default();
        let timer = ScanTimer::start(self.clock.clone(), self.scans.budget, &abandon);
        let (app, runtime) = (Arc::clone(self), Handle::current());
        let span = tracing::Span::current();
        let work = move || {
            let _running = permit;
            let _span = span.entered();
            let start = app.clock.monotonic();
            let result = runtime.block_on(read(Arc::clone(&app), timer));
            let elapsed = app.clock.monotonic().saturating_sub(start);
            app.metrics.searches.observe(elapsed.as_secs_f64());
            result
        };
        let done = self.tasks.spawn_blocking(work).await;
        done.map_err(|_| AppError::Internal)?
    }
}
