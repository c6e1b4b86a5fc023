//! Sample values.

use sessiond::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use sessiond::domain::message::{Body, Message, Role, Sender, TurnState};
use sessiond::domain::session::{NewSession, Session};
use sessiond::domain::time::{TimeScale, Timestamp};
use sessiond::domain::timeout::{TimeoutConfig, TimeoutPolicy};
use uuid::{NoContext, Uuid};

/// The time of all samples.
pub(crate) const NOW: Timestamp = Timestamp(1_750_000_000_000);

/// Timeouts of two weeks, so that nothing expires by accident.
pub(crate) const LONG: TimeoutConfig = TimeoutConfig {
    timeout_minutes: 20_160,
    auto_renew: true,
    max_duration_minutes: 40_320,
    warning_threshold_minutes: 5,
};

/// A server's default policy.
pub(crate) const POLICY: TimeoutPolicy = TimeoutPolicy {
    min_timeout_minutes: 5,
    max_timeout_minutes: 1440,
    defaults: TimeoutConfig {
        timeout_minutes: 30,
        auto_renew: true,
        max_duration_minutes: 720,
        warning_threshold_minutes: 5,
    },
};

/// Returns a fresh id.
pub(crate) fn id() -> Uuid {
    Uuid::new_v7(uuid::Timestamp::now(NoContext))
}

/// Returns a session to create.
pub(crate) fn new_session(timeout: TimeoutConfig) -> NewSession {
    NewSession {
        id: SessionId(id()),
        agent_id: AgentId(Uuid::from_u128(1)),
        user_id: UserId(Uuid::from_u128(2)),
        timeout,
        metadata: r#"{"platform":"web","username":"user-one","locale":"en-GB","referrer":"https://example.org/a/page/of/some/length","campaign":"autumn","tags":["one","two","three"]}"#.into(),
        create_key: None,
    }
}

/// Returns an existing session.
pub(crate) fn session() -> Session {
    Session::create(new_session(POLICY.defaults), NOW, TimeScale::REAL)
}

/// Returns the body of a message.
pub(crate) fn body() -> Body {
    Body {
        content: "I am worried about my garden, and about my roses most of all.".into(),
        metadata: Some(r#"{"source":"web"}"#.into()),
        attachments: None,
    }
}

/// Returns a stored message.
pub(crate) fn message(session_id: SessionId) -> Message {
    Message {
        id: MessageId(id()),
        session_id,
        author_id: Uuid::from_u128(2),
        created_at: NOW,
        body: body(),
        role: Role::User {
            turn_id: TurnId(id()),
            reply_id: MessageId(id()),
            sender: Sender::default(),
            turn: TurnState::Open,
        },
    }
}
