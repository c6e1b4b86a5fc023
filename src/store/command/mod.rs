//! The commands. Each checks everything first and then writes.
//!
//! Commands share a transaction, which cannot be rolled back in part, so a command that refuses
//! must not have written anything. The domain decides what the rules are; the commands load, ask
//! the domain, and store.

mod activity;
pub(super) mod apply;
mod cancel;
mod continuation;
mod create;
mod delete;
mod erase_user;
mod import_sessions;
mod maintenance;
mod purge;
mod remote_session;
mod send;
mod submit;
mod submit_error;
mod turn;
mod turn_selection;
mod update_metadata;

pub use self::activity::{Heartbeat, PatchTimeout, Renew};
pub use self::cancel::{CancelTurns, CancelledTurn, PartialReply};
pub use self::continuation::{Continuation, NewIds};
pub use self::create::{CreateSession, Created};
pub(crate) use self::create::{is_remembered, remembered_claim};
pub(crate) use self::delete::erase;
pub use self::delete::{DeleteSession, Deleted, RemoteSession};
pub use self::erase_user::{EraseUser, ErasedUser};
pub use self::import_sessions::{ImportSessions, ImportedSessions};
pub use self::maintenance::{RecordBackup, RecordVerification};
pub use self::purge::{AdvanceCounters, Purge, Purged};
pub use self::remote_session::StoreRemoteSession;
pub use self::send::{SendMessage, Sent};
pub use self::submit::{SubmitReply, Submitted};
pub use self::submit_error::{FailedTurns, SubmitFailure};
pub use self::turn::{BeginTurn, CloseTurn, Expire, ParkTurn};
pub use self::update_metadata::UpdateMetadata;
pub use crate::domain::turn::{BeginOutcome, CloseOutcome, ParkOutcome, Reply};

/// An operation that runs in one transaction.
pub trait Command: apply::Apply + Send + 'static {}

impl<C: apply::Apply + Send + 'static> Command for C {}
