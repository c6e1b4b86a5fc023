//! What the examples tell of: a session in which the user has said something, and the agent has
//! answered. They are made of it as the server makes its answers.

use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::session::{NewSession, Session};
use crate::domain::time::{TimeScale, Timestamp};
use crate::domain::timeout::TimeoutConfig;
use crate::json;

/// When the session was created.
pub(in crate::api) const CREATED: Timestamp = Timestamp(1_705_314_600_000);
/// When the user said something.
const SAID: Timestamp = Timestamp(1_705_314_644_321);
/// When the agent answered, which is now.
pub(in crate::api) const NOW: Timestamp = Timestamp(1_705_314_645_123);

/// What the agent says.
pub(in crate::api) const REPLY: &str = "Hello Ada. What brings you here?";

const USER: u128 = 0x3c90_c3cc_0d44_4b50_8888_8dd2_5736_052a;

pub(in crate::api) fn session_id() -> SessionId {
    SessionId::from(0x018d_0d2e_5a83_7c3e_9f5b_3c90_c3cc_0d44)
}

pub(in crate::api) fn agent_id() -> AgentId {
    AgentId::from(0xb850_bc30_45f8_0041_a00a_83df_46d8_555d)
}

fn message_id() -> MessageId {
    MessageId::from(0x018d_0d2e_5b01_7a3e_8f5b_3c90_c3cc_0d45)
}

pub(in crate::api) fn reply_id() -> MessageId {
    MessageId::from(0x018d_0d2e_5b01_7d1a_b2c6_5e0f_71a8_93d2)
}

/// The session as it was created.
pub(in crate::api) fn created() -> Session {
    created_with(30)
}

/// The session as it stands now.
pub(in crate::api) fn session() -> Session {
    let mut session = created();
    session.touch(SAID, TimeScale::new(1));
    session
}

/// The session where it has another timeout.
pub(in crate::api) fn patched() -> Session {
    created_with(60)
}

/// The session at its end.
pub(in crate::api) fn expired() -> Session {
    Session {
        expires_at: NOW,
        ..session()
    }
}

fn created_with(timeout_minutes: u32) -> Session {
    let new = NewSession {
        id: session_id(),
        agent_id: agent_id(),
        user_id: UserId::from(USER),
        timeout: TimeoutConfig {
            timeout_minutes,
            auto_renew: true,
            max_duration_minutes: 720,
            warning_threshold_minutes: 5,
        },
        metadata: r#"{"platform":"web","username":"Ada"}"#.into(),
        create_key: None,
    };
    Session::create(new, CREATED, TimeScale::new(1))
}

/// What the user said.
pub(in crate::api) fn message() -> Message {
    said(TurnState::Replied(NOW))
}

/// The same while its reply is still to come.
pub(in crate::api) fn waiting() -> Message {
    said(TurnState::Open)
}

/// The same where the agent failed for good.
pub(in crate::api) fn unanswered(failure: TurnFailure) -> Message {
    said(TurnState::Failed(failure))
}

fn said(turn: TurnState) -> Message {
    Message {
        id: message_id(),
        session_id: session_id(),
        author_id: UserId::from(USER).0,
        created_at: SAID,
        body: Body {
            content: "Hello!".into(),
            ..Body::default()
        },
        role: Role::User {
            turn_id: TurnId::from(0x018d_0d2e_5b01_7c44_9d0e_41b7_6ac5_2f83),
            reply_id: reply_id(),
            sender: Sender::default(),
            turn,
        },
    }
}

/// What the agent answered.
pub(in crate::api) fn reply() -> Message {
    Message {
        id: reply_id(),
        session_id: session_id(),
        author_id: agent_id().0,
        created_at: NOW,
        body: Body {
            content: REPLY.into(),
            ..Body::default()
        },
        role: Role::Agent {
            in_reply_to: Some(message_id()),
            thought: Some("Ada greets me.".into()),
            actions: Some(json::text(&["REPLY"])),
        },
    }
}
