//! A turn: a stored user message that waits for the agent's reply, and how that ends.

use std::sync::Arc;

use super::id::SessionId;
use super::message::{Body, InvalidMessage, MAX_METADATA_BYTES, Message, TurnFailure};
use super::time::{Millis, Timestamp};

/// The most open turns of one session.
pub const MAX_OPEN_TURNS: usize = 16;

/// The longest reply that is submitted, in bytes.
pub const MAX_SUBMITTED_BYTES: usize = 64 * 1024;

/// After this many crashes of the server in the same turn, it is closed with an error.
pub const MAX_CRASHES: u8 = 3;

/// A turn that is still to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// The session.
    pub session_id: SessionId,
    /// Its place among the session's open turns; they run in this order.
    pub position: u32,
    /// When the user's message was stored, which names it within the session.
    pub message_at: Timestamp,
    /// Whether the agent was ever asked. Such a turn outlives its session's expiry.
    pub begun: bool,
    /// Whether the agent is being asked by the running server.
    pub running: bool,
    /// How often the server crashed while the agent was being asked.
    pub crashes: u8,
    /// Until when it waits for a reply that is submitted; none where the agent itself is asked.
    pub waits_until: Option<Timestamp>,
}

/// How the turn of a new message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Once it is its turn.
    InTurn,
    /// At once where it is alone: it has a place. That saves the commit which would note it.
    AtOnce,
    /// At once, to wait this long for a reply that is submitted.
    Waiting(Millis),
}

/// Whether the agent may be asked.
#[derive(Debug)]
pub enum Begun {
    /// It may, and it is noted that it was.
    Now,
    /// It may not: the turn was closed with this failure.
    Closed(TurnFailure),
    /// The turn is no longer there.
    Gone,
}

/// Whether a turn may wait for a reply that is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parked {
    /// It waits.
    Waiting,
    /// It is no longer open.
    Gone,
}

/// What an agent replied.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The text, with the reply's own metadata and attachments.
    pub body: Body,
    /// What the agent thought.
    pub thought: Option<String>,
    /// The text of a JSON array: what the agent did.
    pub actions: Option<String>,
}

/// How a turn ended.
#[derive(Debug, Clone)]
pub enum Closed {
    /// With this reply.
    Replied(Arc<Message>),
    /// Without one.
    Failed(TurnFailure),
    /// The turn is no longer there.
    Gone,
}

impl Reply {
    /// Checks the size of what belongs to the text: all of it is shown as metadata, and so is as
    /// long in all as metadata may be.
    ///
    /// # Errors
    /// It is too large.
    pub fn check_metadata(&self) -> Result<(), InvalidMessage> {
        let parts = [&self.body.metadata, &self.thought, &self.actions];
        let bytes: usize = parts.into_iter().flatten().map(String::len).sum();
        if bytes <= MAX_METADATA_BYTES {
            return Ok(());
        }
        Err(InvalidMessage::Metadata(format!(
            "metadata, thought and actions must be at most {MAX_METADATA_BYTES} bytes together, \
             not {bytes}"
        )))
    }

    /// A reply that is nothing but a text.
    #[must_use]
    pub fn text(text: String) -> Self {
        let body = Body {
            content: text,
            ..Body::default()
        };
        Self {
            body,
            ..Self::default()
        }
    }
}

impl OpenTurn {
    /// Notes that the server which asked the agent is no more.
    pub fn recover(&mut self, after_a_crash: bool) {
        if self.running && after_a_crash {
            self.crashes = self.crashes.saturating_add(1);
        }
        self.running = false;
    }

    /// Whether the turn has crashed the server so often that it is not tried again.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.crashes >= MAX_CRASHES
    }
}

impl TurnFailure {
    /// The session expired before the agent was asked.
    #[must_use]
    pub fn session_expired() -> Self {
        Self::new(
            "SESSION_EXPIRED",
            "The session expired before the agent was asked",
        )
    }

    /// The agent failed for good.
    #[must_use]
    pub fn agent_error() -> Self {
        Self::new("AGENT_ERROR", "The agent could not answer")
    }

    /// The agent took too long.
    #[must_use]
    pub fn agent_timeout() -> Self {
        Self::new("AGENT_TIMEOUT", "The agent did not answer in time")
    }

    /// The agent is no longer there.
    #[must_use]
    pub fn agent_not_found() -> Self {
        Self::new("AGENT_NOT_FOUND", "The session's agent no longer exists")
    }

    /// The turn crashed the server too often.
    #[must_use]
    pub fn crashed_too_often() -> Self {
        Self::new(
            "AGENT_ERROR",
            "The server stopped three times while the agent was answering",
        )
    }

    fn new(code: &str, message: &str) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// What was said in a session before a message, oldest first.
#[derive(Debug, Clone)]
pub enum History {
    /// What the user said.
    Statements(Vec<String>),
    /// The messages of both, each reply after the message that it answers.
    Messages(Vec<Message>),
}

impl History {
    /// What the user said, if that was wanted alone.
    #[must_use]
    pub fn statements(&self) -> &[String] {
        match self {
            Self::Statements(statements) => statements,
            Self::Messages(_) => &[],
        }
    }

    /// The messages of both, if they were wanted.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::Statements(_) => &[],
            Self::Messages(messages) => messages,
        }
    }
}

/// What a backend wants to know beside the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// What was said before.
    pub history: WantedHistory,
    /// Whether it has a session of its own for each of ours.
    pub upstream: bool,
}

/// How much of what was said before a backend wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedHistory {
    /// So many of the user's messages, as texts, which costs much less than the whole.
    Statements(usize),
    /// So many messages of both.
    Messages(usize),
}

impl Default for WantedHistory {
    fn default() -> Self {
        Self::Statements(0)
    }
}
