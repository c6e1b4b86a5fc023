//! The line of a session.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{digest, id, key, object, raw, time};
use crate::domain::archive::{ArchivedSession, CreateKeyUse};
use crate::domain::continued::ContinuedFrom;
use crate::domain::session::Session;
use crate::domain::timeout::{TimeoutConfig, TimeoutOverrides};
use crate::session_json::create_digest;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SessionLine {
    r#type: String,
    session_id: String,
    agent_id: String,
    user_id: String,
    created_at: String,
    last_activity: String,
    window_start: String,
    expires_at: String,
    warn_at: String,
    scheduled_at: String,
    timeout_config: Timeouts,
    renewal_count: u32,
    metadata: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<ClaimPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continued_from: Option<ContinuedPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ContinuedPart {
    session_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    copied: u32,
    complete: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Timeouts {
    timeout_minutes: u32,
    auto_renew: bool,
    max_duration_minutes: u32,
    warning_threshold_minutes: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClaimPart {
    created_at: String,
    /// The SHA-256 digest of the request. Older versions exported the requested timeouts instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_minutes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_renew: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_duration_minutes: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning_threshold_minutes: Option<f64>,
}

impl SessionLine {
    pub(super) fn new(archived: &ArchivedSession) -> Self {
        let session = &archived.session;
        let claim = archived.create_key_use.as_ref().map(|claim| ClaimPart {
            created_at: claim.created_at.to_string(),
            digest: Some(hex::encode(claim.digest.0)),
            timeout_minutes: None,
            auto_renew: None,
            max_duration_minutes: None,
            warning_threshold_minutes: None,
        });
        Self {
            r#type: "session".into(),
            session_id: session.id.to_string(),
            agent_id: session.agent_id.to_string(),
            user_id: session.user_id.to_string(),
            created_at: session.created_at.to_string(),
            last_activity: session.last_activity.to_string(),
            window_start: session.window_start.to_string(),
            expires_at: session.expires_at.to_string(),
            warn_at: session.warn_at.to_string(),
            scheduled_at: session.scheduled_at.to_string(),
            timeout_config: Timeouts {
                timeout_minutes: session.timeout.timeout_minutes,
                auto_renew: session.timeout.auto_renew,
                max_duration_minutes: session.timeout.max_duration_minutes,
                warning_threshold_minutes: session.timeout.warning_threshold_minutes,
            },
            renewal_count: session.renewal_count,
            metadata: raw(&session.metadata),
            create_key: session.create_key.as_ref().map(|key| key.as_str().into()),
            claim,
            continued_from: session.continued_from.map(ContinuedPart::new),
            upstream: archived.remote_session.clone(),
        }
    }

    pub(super) fn into_item(self) -> Result<ArchivedSession, String> {
        let create_key = self.create_key.map(|text| key("createKey", &text));
        let continued_from = self.continued_from.map(ContinuedPart::into_continued);
        let config = self.timeout_config;
        let session = Session {
            id: id("sessionId", &self.session_id)?,
            agent_id: id("agentId", &self.agent_id)?,
            user_id: id("userId", &self.user_id)?,
            created_at: time("createdAt", &self.created_at)?,
            last_activity: time("lastActivity", &self.last_activity)?,
            window_start: time("windowStart", &self.window_start)?,
            expires_at: time("expiresAt", &self.expires_at)?,
            warn_at: time("warnAt", &self.warn_at)?,
            scheduled_at: time("scheduledAt", &self.scheduled_at)?,
            timeout: TimeoutConfig {
                timeout_minutes: config.timeout_minutes,
                auto_renew: config.auto_renew,
                max_duration_minutes: config.max_duration_minutes,
                warning_threshold_minutes: config.warning_threshold_minutes,
            },
            renewal_count: self.renewal_count,
            metadata: object("metadata", &self.metadata)?,
            create_key: create_key.transpose()?,
            continued_from: continued_from.transpose()?,
        };
        let claim = self.claim.map(|claim| claim.into_claim(&session));
        Ok(ArchivedSession {
            session,
            create_key_use: claim.transpose()?,
            remote_session: self.upstream,
        })
    }
}

impl ClaimPart {
    /// Without a digest, that of the session's own values, which older versions never changed.
    fn into_claim(self, session: &Session) -> Result<CreateKeyUse, String> {
        let timeout = TimeoutOverrides {
            timeout_minutes: self.timeout_minutes,
            auto_renew: self.auto_renew,
            max_duration_minutes: self.max_duration_minutes,
            warning_threshold_minutes: self.warning_threshold_minutes,
        };
        let digest = match &self.digest {
            Some(text) if timeout == TimeoutOverrides::default() => digest("claim.digest", text)?,
            Some(_) => return Err("its claim must not have both a digest and timeouts".into()),
            None => create_digest(session.agent_id, &session.metadata, &timeout, None),
        };
        Ok(CreateKeyUse {
            created_at: time("claim.createdAt", &self.created_at)?,
            digest,
        })
    }
}

impl ContinuedPart {
    fn new(continued: ContinuedFrom) -> Self {
        Self {
            session_id: continued.session_id.to_string(),
            message_id: continued.message_id.map(|id| id.to_string()),
            copied: continued.copied,
            complete: continued.complete,
        }
    }

    fn into_continued(self) -> Result<ContinuedFrom, String> {
        let message_id = self.message_id.map(|it| id("continuedFrom.messageId", &it));
        Ok(ContinuedFrom {
            session_id: id("continuedFrom.sessionId", &self.session_id)?,
            message_id: message_id.transpose()?,
            copied: self.copied,
            complete: self.complete,
        })
    }
}
