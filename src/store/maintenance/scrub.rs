//! Verification of the live file.
//!
//! Pages are verified by redb's checksums and rows by the checks of `sessiond check`, both in one
//! read-only view of the last commit ([`open_live_view`]). The writer pauses only while that view
//! is opened. A snapshot keeps the pages in place meanwhile, so the file may grow until the pass
//! ends.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redb::Database;
use tokio_util::sync::CancellationToken;

use super::checksums;
use super::verify::verify_rows;
use crate::store::error::OpenError;
use crate::store::file::database_file::open_live_view;
use crate::store::file::overlay::OverlaySource;
use crate::store::file::panic_guard::PanicSafe;
use crate::store::handle::Store;
use crate::store::quarantine::location::RecordRef;
use crate::store::quarantine::registry::MAX_PENDING;
use crate::store::write::queue::WriterMessage;

/// The most faults that are reported in full.
const MAX_REPORTED_FAULTS: usize = 20;

/// How often the pass checks whether the writer has quarantined its findings.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The most checks before the rest is left to later readers.
const MAX_POLLS: usize = 1000;

/// The result of a complete pass.
#[derive(Debug, Default)]
pub struct Findings {
    /// The number of faults in pages, index rows and counters. redb reports only whether any page
    /// is damaged, so damaged pages count as one fault.
    pub damaged_pages: u64,
    /// The first of them, one line each.
    pub faults: Vec<String>,
    /// The number of undecodable records. They are quarantined.
    pub undecodable_records: u64,
}

/// Why a pass was not completed.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// It was stopped.
    #[error("it was stopped")]
    Stopped,
    /// The database is failing, or was reopened during the pass.
    #[error("the database cannot be written at present")]
    Failing,
    /// The file cannot be opened or read, for an external reason.
    #[error(transparent)]
    Failed(#[from] OpenError),
}

/// A file whose reads fail once the pass is stopped.
#[derive(Debug)]
struct Stoppable {
    file: File,
    stop: CancellationToken,
}

impl OverlaySource for Stoppable {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("the pass was stopped"));
        }
        self.file.read_at(offset, out)
    }
}

impl Store {
    /// Verifies every page and every row of the live file, and quarantines undecodable records. It
    /// takes as long as reading the file a few times, so it needs a thread of its own.
    ///
    /// # Errors
    /// See [`ScrubError`]; damage is not an error.
    pub fn verify(&self, stop: &CancellationToken) -> Result<Findings, ScrubError> {
        let Some(file) = &self.shared.file else {
            return Ok(Findings::default());
        };
        let openings = || self.shared.openings.load(Ordering::SeqCst);
        let openings_before = openings();
        if self.shared.condition.commit_failed.get() {
            return Err(ScrubError::Failing);
        }
        let pinned = {
            let database = self.shared.database();
            database.as_ref().ok_or(ScrubError::Failing)?.begin_read()?
        };
        let open = || {
            self.while_paused(|| {
                open_live_view(Stoppable {
                    file: file.try_clone()?,
                    stop: stop.clone(),
                })
            })
        };
        let found = scrub(&open);
        drop(pinned);
        if stop.is_cancelled() {
            return Err(ScrubError::Stopped);
        }
        if openings_before != openings() {
            // The snapshot was lost with the handle that it belonged to.
            return Err(ScrubError::Failing);
        }
        let (findings, records) = found?;
        self.quarantine(records);
        Ok(findings)
    }

    /// Has the writer quarantine records, as many at once as may be pending.
    fn quarantine(&self, mut records: Vec<(RecordRef, String)>) {
        while !records.is_empty() {
            let slice = records.drain(..records.len().min(MAX_PENDING));
            for ((owner, location), fault) in slice {
                self.shared.quarantine.add(owner, location, &fault);
            }
            for _ in 0..MAX_POLLS {
                if !self.shared.quarantine.has_pending() {
                    break;
                }
                // If the queue is full, the writer checks after its next batch.
                let _ = self.queue.try_send(WriterMessage::Quarantine);
                std::thread::sleep(POLL_INTERVAL);
            }
        }
    }
}

/// Verifies pages, then rows, of the view that `open` opens.
fn scrub(
    open: &dyn Fn() -> Result<Database, OpenError>,
) -> Result<(Findings, Vec<(RecordRef, String)>), OpenError> {
    let mut findings = Findings::default();
    let mut records = Vec::new();
    let view = checksums::require_sound(open).or_else(|error| {
        findings.add_error(error)?;
        open().map(PanicSafe::new)
    });
    let rows = view.and_then(|view| {
        verify_rows(&view, &mut |_| {}, &mut |fault| match fault.record {
            Some(record) => records.push((record, fault.text)),
            None => findings.add(fault.text),
        })
    });
    rows.or_else(|error| findings.add_error(error))?;
    findings.undecodable_records = records.len() as u64;
    Ok((findings, records))
}

impl Findings {
    fn add(&mut self, fault: String) {
        self.damaged_pages += 1;
        if self.faults.len() < MAX_REPORTED_FAULTS {
            self.faults.push(fault);
        }
    }

    /// Adds an error as a fault if the file is to blame: it is damaged or truncated, or its disk
    /// fails.
    fn add_error(&mut self, error: OpenError) -> Result<(), OpenError> {
        let is_truncated = error.io_kind() == Some(io::ErrorKind::UnexpectedEof);
        if !(error.is_damage() || is_truncated || error.is_io_failure()) {
            return Err(error);
        }
        self.add(error.to_string());
        Ok(())
    }
}
