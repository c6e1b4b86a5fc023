//! Turns: user messages that wait for a reply, and how they end.

use std::sync::Arc;

use super::failure::FailureReason;
use super::id::SessionId;
use super::message::{Body, InvalidMessage, MAX_METADATA_BYTES, Message, TurnFailure};
use super::time::{Millis, Timestamp};

/// The most open turns of one session.
pub const MAX_OPEN_TURNS: usize = 16;

/// The longest submitted reply, in bytes.
pub const MAX_SUBMITTED_BYTES: usize = 64 * 1024;

/// The longest submitted error, in Unicode characters.
pub const MAX_ERROR_CHARS: usize = 500;

/// Returns an agent's message to the user without control characters.
#[must_use]
pub fn without_control(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).collect()
}

/// The number of server crashes during one turn after which it is closed with an error.
pub const MAX_CRASHES: u8 = 3;

/// A turn without a reply yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// The session.
    pub session_id: SessionId,
    /// Its position in the session's queue of open turns.
    pub position: u32,
    /// When the user's message was stored; the message's key within the session.
    pub message_at: Timestamp,
    /// Whether the agent was ever called. Such a turn outlives its session's expiry.
    pub begun: bool,
    /// Whether the running server is calling the agent.
    pub running: bool,
    /// How often the server crashed during the call.
    pub crashes: u8,
    /// Until when it waits for a submitted reply; `None` if the agent is called.
    pub waits_until: Option<Timestamp>,
}

/// How the turn of a new message begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnStart {
    /// After the turns before it.
    InTurn,
    /// At once if no other turn is open: its session worker is reserved. The message is stored with
    /// the turn as begun, which saves a commit.
    AtOnce,
    /// At once, to wait this long for a submitted reply.
    Waiting(Millis),
}

/// The outcome of beginning a turn.
#[derive(Debug)]
pub enum BeginOutcome {
    /// The turn is stored as begun; the agent may be called.
    Now,
    /// The turn was closed with this failure instead.
    Closed(TurnFailure),
    /// The turn no longer exists.
    Gone,
}

/// The outcome of parking a turn until a reply is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkOutcome {
    /// The turn waits.
    Waiting,
    /// The turn is no longer open.
    Gone,
}

/// A reply of an agent.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The content with its metadata and attachments.
    pub body: Body,
    /// The thought behind the reply.
    pub thought: Option<String>,
    /// The actions: the text of a JSON array.
    pub actions: Option<String>,
    /// A merge patch of the session's metadata: the text of a JSON object.
    pub session_metadata: Option<String>,
}

/// The outcome of closing a turn.
#[derive(Debug, Clone)]
pub enum CloseOutcome {
    /// The turn has this reply.
    Replied(Arc<Message>),
    /// The turn has no reply.
    Failed(TurnFailure),
    /// The turn no longer exists.
    Gone,
}

impl Reply {
    /// Checks the size of metadata, thought and actions, which clients see as metadata together.
    ///
    /// # Errors
    /// They are larger than [`MAX_METADATA_BYTES`].
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

    /// Creates a reply that has only content.
    #[must_use]
    pub fn text(content: String) -> Self {
        let mut reply = Self::default();
        reply.body.content = content;
        reply
    }
}

impl OpenTurn {
    /// Resets the state of a call that the previous server process made.
    pub fn recover(&mut self, after_a_crash: bool) {
        if self.running && after_a_crash {
            self.crashes = self.crashes.saturating_add(1);
        }
        self.running = false;
    }

    /// Returns whether the server crashed so often during the turn that it is not retried.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.crashes >= MAX_CRASHES
    }
}

impl TurnFailure {
    /// The session expired before the agent was called.
    #[must_use]
    pub fn session_expired() -> Self {
        Self::new(
            "SESSION_EXPIRED",
            "The session expired before the agent was asked",
            FailureReason::Expired,
        )
    }

    /// The agent failed permanently.
    #[must_use]
    pub fn agent_error(reason: FailureReason) -> Self {
        Self::new("AGENT_ERROR", "The agent could not answer", reason)
    }

    /// The agent refused, with a message of its own for the user.
    #[must_use]
    pub fn refused(message: String) -> Self {
        Self {
            code: "AGENT_ERROR".to_owned(),
            message,
            reason: Some(FailureReason::Refused),
        }
    }

    /// A client cancelled the turn.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(
            "TURN_CANCELLED",
            "The reply was cancelled",
            FailureReason::Cancelled,
        )
    }

    /// The agent timed out.
    #[must_use]
    pub fn agent_timeout() -> Self {
        Self::new(
            "AGENT_TIMEOUT",
            "The agent did not answer in time",
            FailureReason::Timeout,
        )
    }

    /// The agent no longer exists.
    #[must_use]
    pub fn agent_not_found() -> Self {
        Self::new(
            "AGENT_NOT_FOUND",
            "The session's agent no longer exists",
            FailureReason::Misconfigured,
        )
    }

    /// The server crashed too often during the turn.
    #[must_use]
    pub fn crashed_too_often() -> Self {
        Self::new(
            "AGENT_ERROR",
            "The server stopped three times while the agent was answering",
            FailureReason::Internal,
        )
    }

    fn new(code: &str, message: &str, reason: FailureReason) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
            reason: Some(reason),
        }
    }
}

/// The messages of a session before a turn, oldest first.
#[derive(Debug, Clone)]
pub enum History {
    /// The contents of the user's messages.
    Statements(Vec<String>),
    /// The messages of the user and the agent, each reply after its message.
    Messages(Vec<Message>),
}

impl History {
    /// Returns the contents of the user's messages, if only those were requested.
    #[must_use]
    pub fn statements(&self) -> &[String] {
        match self {
            Self::Statements(statements) => statements,
            Self::Messages(_) => &[],
        }
    }

    /// Returns the messages of the user and the agent, if they were requested.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::Statements(_) => &[],
            Self::Messages(messages) => messages,
        }
    }
}

/// The context that a backend needs beside the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContextNeeds {
    /// The messages before it.
    pub history: HistoryNeeds,
    /// Whether it has a remote session for each of ours.
    pub remote_session: bool,
}

/// How many earlier messages a backend needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryNeeds {
    /// The contents of this many of the user's messages, which is much cheaper to read.
    Statements(usize),
    /// This many messages of the user and the agent.
    Messages(usize),
}

impl Default for HistoryNeeds {
    fn default() -> Self {
        Self::Statements(0)
    }
}
