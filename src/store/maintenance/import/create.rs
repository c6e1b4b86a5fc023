//! Creates a new database from an export: complete, or not at all.

use std::fs::File;

use super::importer::{Imported, Line};
use super::verified::VerifiedImport;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::error::{ImportError, OpenError};
use crate::store::maintenance::progress::Progress;

/// Creates a database from the items in an empty file, and verifies it.
///
/// # Errors
/// A line is invalid, or the disk fails. The file is then useless.
pub fn import(
    file: &File,
    lines: &mut dyn Iterator<Item = Line>,
    rules: &Rules,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, ImportError> {
    let verified = VerifiedImport::in_file(file, lines, rules, now, progress)?;
    let imported = verified.imported();
    verified.close()?;
    file.sync_all().map_err(OpenError::from)?;
    Ok(imported)
}
