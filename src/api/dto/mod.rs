//! Requests and responses as they are on the wire.

mod agent;
mod agent_state;
mod cancelled;
mod failure;
mod found_message;
mod health;
mod identity;
mod message;
mod metadata;
mod metrics_history;
pub(crate) mod queries;
pub(crate) mod requests;
pub(super) mod schemas;
mod search_cursor;
mod sent;
mod session;
mod setting;
mod storage;
mod user;
mod work;

pub(super) use self::agent::{AgentAnswer, AgentListAnswer};
pub(super) use self::agent_state::AgentStatesAnswer;
pub(super) use self::cancelled::CancelledTurns;
pub(super) use self::failure::{Error, Unhealthy, UnhealthySessions};
pub(super) use self::found_message::FoundMessageList;
pub(super) use self::health::{Alive, Health, SessionsHealth, WithError};
pub(super) use self::identity::PrincipalInfo;
pub(super) use self::message::{AgentResponse, MessageList, Submitted, UserMessage};
pub(super) use self::metrics_history::MetricsHistory;
pub(super) use self::search_cursor::session_cursor;
pub(super) use self::sent::SentAnswer;
pub(super) use self::session::{Deleted, SessionInfo, SessionList, SessionStatus, StatsInfo};
pub(super) use self::setting::SettingsAnswer;
pub(super) use self::storage::{StorageAnswer, VerificationAnswer};
pub(super) use self::user::UserErased;
pub(super) use self::work::{AgentTurns, TurnCancelled, turn_call};
