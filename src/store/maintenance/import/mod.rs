//! Imports of exported lines: into a new database, or into one that holds other sessions.
//!
//! Lines are always imported into a database of their own first, and verified there. Whatever is
//! wrong with them is found before another database is touched.

pub(crate) mod conflicts;
mod create;
mod importer;
mod verified;

pub use self::create::import;
pub use self::importer::{Imported, Line};
pub use self::verified::VerifiedImport;
