//! Sessions that continue others: their conversation begins as a copy.

use super::id::{MessageId, SessionId};

/// The most messages that a new session copies.
pub const MAX_COPIED_MESSAGES: usize = 1_000;

/// The most bytes that a new session copies: content, attachments and metadata as stored.
pub const MAX_COPIED_BYTES: usize = 2 * 1024 * 1024;

/// The session that a new one is to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContinueFrom {
    /// The source.
    pub session_id: SessionId,
    /// The last message to copy; `None` for the newest.
    pub up_to: Option<MessageId>,
}

/// The session that another one continues, which may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContinuedFrom {
    /// The source.
    pub session_id: SessionId,
    /// Its last message that was copied; `None` if there was none.
    pub message_id: Option<MessageId>,
    /// The number of copied messages.
    pub copied: u32,
    /// Whether no message before the last one was left out.
    pub complete: bool,
}
