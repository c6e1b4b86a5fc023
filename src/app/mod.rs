//! The use cases: load, apply the domain's rules, commit, notify.
//!
//! HTTP and Socket.IO call the same functions here, so both obey the same rules.

mod admin;
mod agent_states;
mod application;
mod cancel;
mod continuation;
mod create;
mod effective_settings;
mod erase_user;
pub mod error;
mod find;
mod health;
mod import;
mod inbox;
mod messages;
mod previews;
mod probe;
mod remote_calls;
mod remote_sessions;
mod running_probes;
mod scan_limits;
mod scans;
mod search;
mod send;
mod session_ref;
mod session_scan;
mod sessions;
mod submit;
mod subscription;
mod turn_store;
mod verification;

pub use self::admin::{BackupFile, Export, ExportSelection};
pub use self::agent_states::AgentOverview;
pub use self::application::App;
pub use self::cancel::Cancellation;
pub use self::create::CreateRequest;
pub use self::effective_settings::{
    EffectiveSetting, EffectiveSettings, SECRET_IS_SET, SettingSource,
};
pub use self::find::{FoundSessions, SessionText};
pub use self::health::{Health, Reason, Status};
pub use self::import::{ImportSlot, MAX_IMPORTED_LINES};
pub use self::inbox::{AgentInbox, ClosedTurn, InboxEvent};
pub use self::probe::{ProbeOutcome, ProbedAgent};
pub use self::scan_limits::ScanLimits;
pub use self::search::{FoundMessages, MessageSearch};
pub use self::send::{NewMessage, SendRequest, SendingSocket, SentMessage, SentTurn};
pub use self::session_ref::{Scope, SessionRef};
pub use self::session_scan::{SessionScan, StatusFilter};
pub use self::sessions::SessionFilter;
pub use self::submit::{Submission, SubmissionResult};
pub use self::subscription::{ReplyInProgress, SessionState, SessionSubscription, SubscribedEvent};
pub use crate::agents::character::Character;
pub use crate::agents::turns::reply_feed::{Ending, ReplyEvent, ReplyReceiver};
pub use crate::store::{
    FoundMessage, Imported, LastBackup, MessagePreview, Page, PageRequest, SessionPreview, Stats,
    StorageInfo, StoredTurn, Verified, WaitingTurns,
};
