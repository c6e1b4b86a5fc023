//! The session of a channel.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::parties::Parties;
use crate::domain::id::{SessionId, parse_uuid};
use crate::domain::session::Session;
use crate::domain::time::{TimeScale, Timestamp};
use crate::domain::timeout::{TimeoutOverrides, TimeoutPolicy};
use crate::json::Field;
use crate::message_json::session_metadata;

/// The member of the channel's metadata that only channels of sessions have: the id that the session
/// had there. The new session has the id of the channel.
const SESSION_ID: &str = "sessionId";

/// What that member is called afterwards.
const THEIR_SESSION_ID: &str = "elizaosSessionId";

/// The members that name the agent and the user.
const AGENT: &str = "agentId";
const USER: &str = "userId";

const TIMEOUTS: &str = "timeoutConfig";

/// The member of a session's metadata that is its title.
const TITLE: &str = "title";

/// What is known of a channel.
#[derive(Debug)]
pub(super) struct KnownChannel {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) created_at: Timestamp,
    pub(super) metadata: Map<String, Value>,
}

impl KnownChannel {
    /// Whether it belongs to a session, and not to a direct message or a group.
    fn is_of_session(&self) -> bool {
        let metadata = &self.metadata;
        metadata.get(SESSION_ID).is_some_and(Value::is_string)
            && metadata.get(TIMEOUTS).is_some_and(Value::is_object)
    }

    /// Returns the agent of its session.
    pub(super) fn agent(&self) -> Option<Uuid> {
        self.named(AGENT)
    }

    /// Returns the user of its session.
    pub(super) fn user(&self) -> Option<Uuid> {
        self.named(USER)
    }

    fn named(&self, name: &str) -> Option<Uuid> {
        let id = self.metadata.get(name).filter(|_| self.is_of_session())?;
        parse_uuid(id.as_str()?)
    }

    /// Returns its session, which expires now.
    ///
    /// # Errors
    /// Why there cannot be one.
    pub(super) fn session(
        &self,
        parties: Parties,
        last_activity: Option<Timestamp>,
        policy: &TimeoutPolicy,
        now: Timestamp,
    ) -> Result<Session, String> {
        let created_at = self.created_at;
        if created_at > now {
            return Err(format!("it was created in the future, at {created_at}"));
        }
        let timeout = policy.resolve(self.timeouts(), TimeoutOverrides::default());
        let last_activity = last_activity.unwrap_or(created_at);
        Ok(Session {
            id: SessionId(self.id),
            agent_id: parties.agent,
            user_id: parties.user,
            created_at,
            last_activity: last_activity.clamp(created_at, now),
            window_start: created_at,
            expires_at: now,
            warn_at: now - TimeScale::REAL.minutes(timeout.warning_threshold_minutes),
            scheduled_at: now,
            timeout,
            renewal_count: 0,
            metadata: self.session_metadata(parties)?,
            create_key: None,
            continued_from: None,
        })
    }

    fn timeouts(&self) -> TimeoutOverrides {
        if !self.is_of_session() {
            return TimeoutOverrides::default();
        }
        let value = |name| self.metadata.get(TIMEOUTS)?.get(name);
        let number = |name| value(name)?.as_f64().map(f64::trunc);
        TimeoutOverrides {
            timeout_minutes: number("timeoutMinutes"),
            auto_renew: value("autoRenew").and_then(Value::as_bool),
            max_duration_minutes: number("maxDurationMinutes"),
            warning_threshold_minutes: number("warningThresholdMinutes"),
        }
    }

    /// Returns the metadata without what the session has in fields of its own.
    fn session_metadata(&self, parties: Parties) -> Result<String, String> {
        let mut metadata = self.metadata.clone();
        if self.is_of_session() {
            metadata.shift_remove(TIMEOUTS);
            // The client may have given them other values.
            if self.agent() == Some(parties.agent.0) {
                metadata.shift_remove(AGENT);
            }
            if self.user() == Some(parties.user.0) {
                metadata.shift_remove(USER);
            }
            let id = metadata.shift_remove(SESSION_ID).unwrap_or_default();
            metadata.insert(THEIR_SESSION_ID.into(), id);
        } else if !metadata.contains_key(TITLE) && !self.name.trim().is_empty() {
            metadata.insert(TITLE.into(), self.name.clone().into());
        }
        session_metadata(Field::Value(metadata)).map_err(|error| error.reason().to_owned())
    }
}
