//! Importing sessions into a database that holds others.

use super::apply::Apply;
use crate::domain::id::SessionId;
use crate::store::error::CommandResult;
use crate::store::maintenance::import::conflicts::require_none;
use crate::store::maintenance::import::{Imported, VerifiedImport};
use crate::store::write::txn::Txn;

/// Adds imported sessions, with everything that belongs to them, or none of them. Quotas
/// do not apply, and no events are published.
#[derive(Debug)]
pub struct ImportSessions(pub VerifiedImport);

/// The result of an import.
#[derive(Debug, PartialEq, Eq)]
pub struct ImportedSessions {
    /// The numbers of imported records.
    pub imported: Imported,
    /// The imported sessions that have open turns.
    pub with_open_turns: Vec<SessionId>,
}

impl Apply for ImportSessions {
    type Output = ImportedSessions;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<ImportedSessions> {
        let Self(import) = self;
        txn.require_free_space()?;
        import.for_each(txn.now, |item| require_none(txn, &item))?;
        let with_open_turns = import.sessions_with_open_turns()?;
        import.add_to(txn)?;
        Ok(ImportedSessions {
            imported: import.imported(),
            with_open_turns,
        })
    }
}
