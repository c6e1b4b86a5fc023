//! Sessions with the beginning of their newest messages.

use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::handle::Store;

/// A session and the beginning of its newest message.
#[derive(Debug)]
pub struct SessionPreview {
    /// The session, active or not.
    pub session: Session,
    /// The newest message, except damaged ones; none if there are no messages.
    pub last_message: Option<MessagePreview>,
}

/// The beginning of a message.
#[derive(Debug)]
pub struct MessagePreview {
    /// The first characters of the content.
    pub content: String,
    /// Whether the agent wrote it.
    pub is_agent: bool,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Store {
    /// Returns the sessions with these ids, except damaged and deleted ones, in their order, and
    /// the first `chars` characters of the newest message of each, from one snapshot.
    pub async fn session_previews(
        &self,
        ids: &[SessionId],
        chars: usize,
    ) -> ReadResult<Vec<SessionPreview>> {
        self.read(|reader| {
            let mut previews = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some(session) = reader.undamaged_session(*id)? {
                    previews.push(SessionPreview {
                        last_message: reader.newest_message(*id, |it| preview(&it, chars))?,
                        session,
                    });
                }
            }
            Ok(previews)
        })
    }
}

fn preview(message: &Message<&str>, chars: usize) -> MessagePreview {
    MessagePreview {
        content: message.body.content.chars().take(chars).collect(),
        is_agent: message.is_agent(),
        created_at: message.created_at,
    }
}
