//! The state of the database file, and its verification.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::application::App;
use super::error::AppError;
use crate::domain::time::Timestamp;
use crate::store::error::RECOVERY_HINT;
use crate::store::{Findings, ScrubError, StorageInfo, Verified};

/// A running verification; dropping it marks the end, however that came about.
struct Pass(Arc<Mutex<Option<Timestamp>>>);

impl Drop for Pass {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock(started: &Mutex<Option<Timestamp>>) -> MutexGuard<'_, Option<Timestamp>> {
    // No code panics with the lock held.
    started.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// Returns the state of the database file.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn storage(&self) -> Result<StorageInfo, AppError> {
        Ok(self.store.storage().await?)
    }

    /// Starts a verification of the database file in the background, unless one is running.
    /// Returns when the running one began.
    pub fn begin_verification(self: &Arc<Self>) -> Timestamp {
        let (started, pass) = self.start_pass();
        if let Some(pass) = pass {
            let app = Arc::clone(self);
            self.tasks.spawn(async move { app.run_pass(pass).await });
        }
        started
    }

    /// Verifies the database file. Returns whether the verification was complete, or another one
    /// is running.
    pub async fn verify(&self) -> bool {
        match self.start_pass() {
            (_, None) => true,
            (_, Some(pass)) => self.run_pass(pass).await,
        }
    }

    fn start_pass(&self) -> (Timestamp, Option<Pass>) {
        let mut started = lock(&self.verification);
        if let Some(at) = *started {
            return (at, None);
        }
        let now = self.now();
        *started = Some(now);
        (now, Some(Pass(Arc::clone(&self.verification))))
    }

    async fn run_pass(&self, pass: Pass) -> bool {
        let (store, stop) = (Arc::clone(&self.store), self.stopping.clone());
        let verified = tokio::task::spawn_blocking(move || {
            // The pass ends with this thread's work, even if the caller no longer waits.
            let _pass = pass;
            store.verify(&stop)
        });
        match verified.await {
            Ok(Ok(findings)) => self.record_findings(&findings).await,
            Ok(Err(ScrubError::Stopped)) | Err(_) => false,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database could not be verified");
                false
            }
        }
    }

    async fn record_findings(&self, findings: &Findings) -> bool {
        log_findings(findings);
        let verified = Verified {
            at: self.now(),
            damaged_pages: findings.damaged_pages,
        };
        let recorded = self.store.record_verification(verified).await;
        if let Err(error) = &recorded {
            tracing::warn!(%error, "the verification could not be recorded for the next start");
        }
        recorded.is_ok()
    }
}

fn log_findings(findings: &Findings) {
    for fault in &findings.faults {
        tracing::error!(%fault, "the database is damaged");
    }
    if findings.damaged_pages > 0 {
        tracing::error!(
            damaged_pages = findings.damaged_pages,
            "the database file is damaged, and some stored data may be missing; once the server is \
             stopped, {RECOVERY_HINT}"
        );
    }
    if findings.undecodable_records > 0 {
        tracing::error!(
            records = findings.undecodable_records,
            "records of the database cannot be decoded; they were quarantined, or rewritten where \
             the server still had them in memory. Once it is stopped, `sessiond check` lists the \
             quarantined ones"
        );
    }
    if findings.damaged_pages == 0 {
        tracing::info!("the database file was verified");
    }
}
