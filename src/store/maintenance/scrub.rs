//! Verification of the live file, as a backup verifies what it copies.
//!
//! Pages are verified by redb's checksums and rows by the row checks of `sessiond check`, both in
//! one read-only view of the last commit ([`look_beside`]). The writer pauses while that view is
//! opened, and then goes on: a snapshot that is held meanwhile keeps the pages in place, so the
//! file may grow until the end of the pass.

use std::fs::File;
use std::io;

use redb::Database;
use tokio_util::sync::CancellationToken;

use super::checksums;
use super::copy;
use super::verify::verify_rows;
use crate::store::Store;
use crate::store::error::OpenError;
use crate::store::file::database_file::look_beside;
use crate::store::file::overlay::Source;
use crate::store::file::panic_guard::PanicSafe;
use crate::store::quarantine::damage::{MAX_WAITING, Place};
use crate::store::write::queue::WriterMessage;

/// How many faults are told in full.
const TOLD: usize = 20;

/// How often it is looked whether the writer has quarantined what was found.
const POLL: std::time::Duration = std::time::Duration::from_millis(5);

/// How often that is looked at before the rest is left to those who meet it.
const POLLS: usize = 1000;

/// What a complete pass found.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many faults there are in pages, index rows and counters. Of damaged pages redb says no
    /// more than that there are some, so these count as one.
    pub damaged_pages: u64,
    /// The first of them, a line each.
    pub faults: Vec<String>,
    /// How many records cannot be decoded. They are quarantined.
    pub undecodable_records: u64,
}

/// Why a pass came to no end.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// The database is failing, or was opened anew in the middle of the pass.
    #[error("the database cannot be written at present")]
    Failing,
    /// The file cannot be opened or read, for a reason outside of it.
    #[error(transparent)]
    Failed(#[from] OpenError),
}

/// A file whose reads fail from the moment on that a pass is to stop.
#[derive(Debug)]
struct Stoppable {
    file: File,
    stop: CancellationToken,
}

impl Source for Stoppable {
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
    /// Verifies every page and every row of the live file. It takes as long as to read that a few
    /// times, and is for a thread of its own. Records that cannot be decoded are quarantined.
    ///
    /// # Errors
    /// See [`ScrubError`]; damage is no error.
    pub fn verify(&self, stop: &CancellationToken) -> Result<Findings, ScrubError> {
        let Some(file) = &self.shared.file else {
            return Ok(Findings::default());
        };
        let openings = self.shared.openings();
        if self.shared.condition.commit_failed.get() {
            return Err(ScrubError::Failing);
        }
        let pinned = {
            let database = self.shared.database();
            let open = database.as_ref().ok_or(ScrubError::Failing)?;
            copy::begin_read(&open.database)?
        };
        let open = || {
            self.while_paused(|| {
                look_beside(Stoppable {
                    file: file.handle()?,
                    stop: stop.clone(),
                })
            })
        };
        let found = scrub(&open);
        drop(pinned);
        if stop.is_cancelled() {
            return Err(ScrubError::Stopped);
        }
        if openings != self.shared.openings() {
            // The snapshot went with the handle that it belonged to.
            return Err(ScrubError::Failing);
        }
        let (findings, records) = found?;
        self.quarantine(&records);
        Ok(findings)
    }

    /// Has the writer quarantine records, as many at once as may wait.
    fn quarantine(&self, records: &[(Place, String)]) {
        for slice in records.chunks(MAX_WAITING) {
            for ((owner, spot), text) in slice {
                self.shared.damage.note_found(*owner, spot, text);
            }
            for _ in 0..POLLS {
                if !self.shared.damage.has_waiting() {
                    break;
                }
                // Where the queue is full, the writer looks after its next batch.
                let _ = self.queue.try_send(WriterMessage::Quarantine);
                std::thread::sleep(POLL);
            }
        }
    }
}

/// Verifies pages, then rows, of what `open` opens.
fn scrub(
    open: &dyn Fn() -> Result<Database, OpenError>,
) -> Result<(Findings, Vec<(Place, String)>), OpenError> {
    let mut findings = Findings::default();
    let mut records = Vec::new();
    let view = checksums::require_sound(open).or_else(|error| {
        findings.take(error)?;
        open().map(PanicSafe::new)
    });
    let rows = view.and_then(|view| {
        verify_rows(&view, &mut |_| {}, &mut |fault| match fault.place {
            Some(place) => records.push((place, fault.text)),
            None => findings.note(fault.text),
        })
    });
    rows.or_else(|error| findings.take(error))?;
    findings.undecodable_records = records.len() as u64;
    Ok((findings, records))
}

impl Findings {
    fn note(&mut self, fault: String) {
        self.damaged_pages += 1;
        if self.faults.len() < TOLD {
            self.faults.push(fault);
        }
    }

    /// Takes an error that the file is to blame for as a fault.
    fn take(&mut self, error: OpenError) -> Result<(), OpenError> {
        if !(error.is_damage() || is_of_the_disk(&error)) {
            return Err(error);
        }
        self.note(error.to_string());
        Ok(())
    }
}

/// Whether a part of the file cannot be read: its end is missing, or the disk fails there.
fn is_of_the_disk(error: &OpenError) -> bool {
    error.io_kind() == Some(io::ErrorKind::UnexpectedEof) || error.is_io_failure()
}
