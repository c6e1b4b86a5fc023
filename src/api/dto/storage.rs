//! The database file.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::StorageInfo;
use crate::domain::time::Timestamp;

/// The state of the database file.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StorageAnswer {
    /// The path of the file.
    path: Option<String>,
    /// The size of the file.
    bytes: u64,
    /// The free space within the file, as last measured; null before the first measurement.
    free_bytes: Option<u64>,
    /// The free space on its disk; null if unknown.
    free_on_disk: Option<u64>,
    /// When the last complete verification ended; null before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    verified_at: Option<Timestamp>,
    /// How many faults it found in pages, index rows and counters. All damaged pages count as one.
    damaged_pages: u64,
    /// The last backup that was made by itself or downloaded completely; null before the first.
    last_backup: Option<LastBackupInfo>,
}

/// A downloaded backup.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct LastBackupInfo {
    /// When the download ended.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The size of the backup.
    bytes: u64,
}

/// A running verification.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct VerificationAnswer {
    /// When the current pass started, which may be before the call.
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
