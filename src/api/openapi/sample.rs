//! The conversation in the examples: one message and its reply.

use crate::app::StoredTurn;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::message::{Body, Message, Role, Sender, TurnState};
use crate::domain::session::{NewSession, Session};
use crate::domain::time::{Millis, TimeScale, Timestamp};
use crate::domain::timeout::TimeoutConfig;
use crate::domain::turn::{History, OpenTurn};
use crate::json;

/// When the session was created.
pub(in crate::api) const CREATED: Timestamp = Timestamp(1_705_314_600_000);
/// When the user's message was sent.
const SENT: Timestamp = Timestamp(1_705_314_644_321);
/// When the agent replied, which is now.
pub(in crate::api) const NOW: Timestamp = Timestamp(1_705_314_645_123);

pub(in crate::api) const AGENT_NAME: &str = "Eliza";
/// How long sessions are retained after their expiry.
pub(in crate::api) const RETENTION: Millis = Millis(7 * 24 * 60 * 60 * 1000);

pub(in crate::api) const REPLY: &str = "Hello Ada. What brings you here?";

const USER: u128 = 0x3c90_c3cc_0d44_4b50_8888_8dd2_5736_052a;
const MESSAGE: u128 = 0x018d_0d2e_5b01_7a3e_8f5b_3c90_c3cc_0d45;

pub(in crate::api) fn session_id() -> SessionId {
    SessionId::from(0x018d_0d2e_5a83_7c3e_9f5b_3c90_c3cc_0d44)
}

pub(in crate::api) fn agent_id() -> AgentId {
    AgentId::from(0xb850_bc30_45f8_0041_a00a_83df_46d8_555d)
}

pub(in crate::api) fn turn_id() -> TurnId {
    TurnId::from(0x018d_0d2e_5b01_7c44_9d0e_41b7_6ac5_2f83)
}

pub(in crate::api) fn reply_id() -> MessageId {
    MessageId::from(0x018d_0d2e_5b01_7d1a_b2c6_5e0f_71a8_93d2)
}

pub(in crate::api) fn created(timeout_minutes: u32) -> Session {
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

/// Returns the session after the message.
pub(in crate::api) fn session() -> Session {
    let mut session = created(30);
    session.touch(SENT, TimeScale::new(1));
    session
}

pub(in crate::api) fn expired() -> Session {
    Session {
        expires_at: NOW,
        ..session()
    }
}

pub(in crate::api) fn message() -> Message {
    message_in(TurnState::Replied(NOW))
}

/// Returns the user's message with its turn in this state.
pub(in crate::api) fn message_in(turn: TurnState) -> Message {
    let role = Role::User {
        turn_id: turn_id(),
        reply_id: reply_id(),
        sender: Sender::default(),
        turn,
    };
    Message {
        id: MessageId::from(MESSAGE),
        session_id: session_id(),
        author_id: UserId::from(USER).0,
        created_at: SENT,
        body: body("Hello!"),
        role,
    }
}

/// Returns the turn of the user's message while it waits for a submitted reply.
pub(in crate::api) fn waiting_turn() -> StoredTurn {
    StoredTurn {
        turn: OpenTurn {
            session_id: session_id(),
            position: 0,
            message_at: SENT,
            begun: true,
            running: false,
            crashes: 0,
            waits_until: Some(SENT + Millis(600_000)),
        },
        turn_id: turn_id(),
        reply_id: reply_id(),
        session: session(),
        message: message_in(TurnState::Open),
        history: History::Messages(Vec::new()),
        remote_session: None,
    }
}

pub(in crate::api) fn reply() -> Message {
    Message {
        id: reply_id(),
        session_id: session_id(),
        author_id: agent_id().0,
        created_at: NOW,
        body: body(REPLY),
        role: Role::Agent {
            in_reply_to: Some(MessageId::from(MESSAGE)),
            thought: Some("Ada greets me.".into()),
            actions: Some(json::text(&["REPLY"])),
        },
    }
}

fn body(content: &str) -> Body {
    Body {
        content: content.into(),
        ..Body::default()
    }
}
