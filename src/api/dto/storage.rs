//! The database file, as operators see it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::StorageInfo;
use crate::domain::time::Timestamp;

/// How the database file stands.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StorageAnswer {
    /// Where the file is.
    path: Option<String>,
    /// How long it is.
    bytes: u64,
    /// How much of it holds nothing, as last measured; null before the first time.
    free_bytes: Option<u64>,
    /// How much is free on its disk; null where the system does not tell.
    free_on_disk: Option<u64>,
    /// When the last complete verification ended; null before the first one.
    #[schema(value_type = Option<String>, format = DateTime)]
    verified_at: Option<Timestamp>,
    /// How many faults it found in pages, index rows and counters; damaged pages are one together.
    damaged_pages: u64,
    /// The last backup of this server that was fetched to its end; null before the first one.
    last_backup: Option<LastBackupInfo>,
}

/// A backup that was made.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct LastBackupInfo {
    /// When it was fetched to its end.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How long it is.
    bytes: u64,
}

/// A verification that runs.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct VerificationAnswer {
    /// When the present pass began, which may be before the call.
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::api) started_at: Timestamp,
}

impl From<StorageInfo> for StorageAnswer {
    fn from(info: StorageInfo) -> Self {
        Self {
            path: info.location,
            bytes: info.bytes,
            free_bytes: info.used_bytes.map(|used| info.bytes.saturating_sub(used)),
            free_on_disk: info.free_on_disk,
            verified_at: info.verified.map(|verified| verified.at),
            damaged_pages: info.verified.map_or(0, |verified| verified.damaged_pages),
            last_backup: info.last_backup.map(|backup| LastBackupInfo {
                at: backup.at,
                bytes: backup.bytes,
            }),
        }
    }
}
