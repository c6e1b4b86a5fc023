//! The database file: its size and its verification.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::App;
use super::error::AppError;
use crate::domain::time::Timestamp;
use crate::store::error::REMEDY;
use crate::store::{Findings, ScrubError, StorageInfo, Verified};

/// The pass of the verification that runs, if one does.
#[derive(Debug, Default)]
pub(super) struct Verification(Mutex<Option<Timestamp>>);

/// Marks a pass as running until it is dropped, however it ends.
struct Pass(Arc<App>);

impl Drop for Pass {
    fn drop(&mut self) {
        *self.0.verification.started() = None;
    }
}

impl Verification {
    fn started(&self) -> MutexGuard<'_, Option<Timestamp>> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// How the database file stands.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn storage(&self) -> Result<StorageInfo, AppError> {
        Ok(self.store.storage().await?)
    }

    /// Begins to verify the database file in the background, unless that is being done; returns
    /// when the present pass began.
    pub fn begin_verification(self: &Arc<Self>) -> Timestamp {
        let (started, pass) = self.claim_pass();
        if let Some(pass) = pass {
            let app = Arc::clone(self);
            self.tasks.spawn(async move { app.run_pass(pass).await });
        }
        started
    }

    /// Verifies the database file; returns whether that came to its end. Where it is being done
    /// already, that counts.
    pub async fn verify(self: &Arc<Self>) -> bool {
        match self.claim_pass() {
            (_, None) => true,
            (_, Some(pass)) => self.run_pass(pass).await,
        }
    }

    fn claim_pass(self: &Arc<Self>) -> (Timestamp, Option<Pass>) {
        let mut started = self.verification.started();
        if let Some(at) = *started {
            return (at, None);
        }
        let now = self.now();
        *started = Some(now);
        drop(started);
        (now, Some(Pass(Arc::clone(self))))
    }

    async fn run_pass(&self, pass: Pass) -> bool {
        let (store, stop) = (Arc::clone(&self.store), self.stopping.clone());
        let verified = tokio::task::spawn_blocking(move || {
            // The pass ends when its work does, also where nobody waits for it any more.
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
        tell(findings);
        let verified = Verified {
            at: self.now(),
            damaged_pages: findings.damaged_pages,
        };
        let recorded = self.store.record_verification(verified).await;
        if let Err(error) = &recorded {
            tracing::warn!(%error, "the verification is not recorded for the next start");
        }
        recorded.is_ok()
    }
}

fn tell(findings: &Findings) {
    for fault in &findings.faults {
        tracing::error!(%fault, "the database is damaged");
    }
    if findings.damaged_pages > 0 {
        tracing::error!(
            damaged_pages = findings.damaged_pages,
            "the database file is damaged, and some of what was stored may be missing; once the \
             server is stopped, {REMEDY}"
        );
    }
    if findings.undecodable_records > 0 {
        tracing::error!(
            records = findings.undecodable_records,
            "records of the database cannot be decoded; they were quarantined, or written anew \
             where the server still had them in memory. Once it is stopped, `sessiond check` \
             lists those that are quarantined"
        );
    }
    if findings.damaged_pages == 0 {
        tracing::info!("the database file was verified");
    }
}
