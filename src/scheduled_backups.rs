//! Backups that the server makes by itself, every `BACKUP_EVERY_HOURS`.
//!
//! Their times are in their names, so that a restart neither delays nor repeats one. Old ones are
//! removed only after a success, so that a full disk never costs the last good copy.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::time::{Millis, Timestamp};
use crate::process::atomic_file;

/// The longest pause after a failure.
const RETRY: Duration = Duration::from_hours(1);

/// The shortest interval, for tests with scaled time.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

const PREFIX: &str = "sessiond-";
const SUFFIX: &str = ".redb";

/// The time in a name: UTC, in an order that sorts by time.
const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

/// When backups are made, where, and how many are retained.
#[derive(Debug, Clone)]
pub struct BackupSchedule {
    /// The time between two of them.
    pub interval: Millis,
    /// Where they are written.
    pub directory: PathBuf,
    /// Whether the directory is created if it is missing.
    pub creates_directory: bool,
    /// How many are retained.
    pub keep: usize,
}

/// Makes backups until `stop` is cancelled.
pub async fn run(app: Arc<App>, schedule: BackupSchedule, stop: CancellationToken) {
    let making = async {
        let interval = schedule.interval.to_duration().max(MIN_INTERVAL);
        let mut pause = schedule.first_pause(app.now());
        let mut has_failed = false;
        loop {
            app.clock().sleep(pause).await;
            let is_made = schedule.make(&app).await;
            if is_made && has_failed {
                // Operators who see the last warnings must not take the failure for the present.
                tracing::warn!("scheduled backups are created again");
            }
            has_failed = !is_made;
            pause = if is_made {
                interval
            } else {
                interval.min(RETRY)
            };
        }
    };
    let _: Option<()> = stop.run_until_cancelled(making).await;
}

impl BackupSchedule {
    /// Returns the time until the first backup of this process is due: now if there is none yet.
    fn first_pause(&self, now: Timestamp) -> Duration {
        let newest = self
            .existing()
            .ok()
            .and_then(|existing| existing.last().cloned());
        let Some((at, _)) = newest else {
            return Duration::ZERO;
        };
        // A clock that was ahead must not delay the next one for longer than an interval.
        (at.min(now) + self.interval).since(now).to_duration()
    }

    /// Makes a backup and removes the oldest ones. Returns whether there is a new backup.
    async fn make(&self, app: &Arc<App>) -> bool {
        if let Err(error) = self.prepare() {
            app.metrics().backup_failures.inc();
            let directory = self.directory.display();
            tracing::error!(
                %error,
                %directory,
                "no backup was created in this directory: BACKUP_DIR must be an existing directory \
                 that the user that runs sessiond may write"
            );
            return false;
        }
        let file = self.directory.join(name(app.now()));
        if app.backup_to(file).await.is_err() {
            return false;
        }
        if let Err(error) = self.remove_oldest() {
            let directory = self.directory.display();
            tracing::warn!(%error, %directory, "old backups could not be removed");
        }
        true
    }

    /// Creates the directory, for its owner only, if that is permitted.
    fn prepare(&self) -> io::Result<()> {
        if self.creates_directory {
            return fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.directory);
        }
        if fs::metadata(&self.directory)?.is_dir() {
            return Ok(());
        }
        Err(io::ErrorKind::NotADirectory.into())
    }

    fn remove_oldest(&self) -> io::Result<()> {
        let existing = self.existing()?;
        let surplus = existing.len().saturating_sub(self.keep);
        for (_, file) in &existing[..surplus] {
            fs::remove_file(file)?;
            tracing::info!(file = %file.display(), "removed an old backup");
        }
        atomic_file::sync_parent_dir(&self.directory.join(PREFIX))
    }

    /// Returns the backups in the directory, oldest first.
    fn existing(&self) -> io::Result<Vec<(Timestamp, PathBuf)>> {
        let mut existing = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            existing.extend(time(&path).map(|at| (at, path)));
        }
        existing.sort();
        Ok(existing)
    }
}

fn name(at: Timestamp) -> String {
    let time = DateTime::from_timestamp_millis(at.0).unwrap_or_default();
    format!("{PREFIX}{}{SUFFIX}", time.format(TIME))
}

/// Returns the time in the name of a backup; `None` for all other names.
fn time(file: &Path) -> Option<Timestamp> {
    let found = file.file_name()?.to_str()?;
    let text = found.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let time = NaiveDateTime::parse_from_str(text, TIME).ok()?;
    let at = Timestamp(time.and_utc().timestamp_millis());
    // Only exactly what this server writes: other files are not its to remove.
    (name(at) == found).then_some(at)
}
