//! Reads all messages of a channel, page by page.

use std::collections::HashSet;

use uuid::Uuid;

use super::read_message::{MessageContext, ReadMessage, time};
use super::reader::{ElizaOsError, ElizaOsReader};
use super::wire::ChannelMessage;
use crate::domain::id::parse_uuid;

/// The number of messages of a page.
const PAGE: usize = 200;

/// The largest page, if that many messages have the same millisecond.
const MAX_PAGE: usize = 12_800;

/// How much of a channel is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// What to do about a larger channel.
    pub(super) advice: &'static str,
}

impl Limits {
    /// Returns the reason why a channel is left out.
    pub(super) fn exceeded(&self) -> String {
        let mebibytes = self.bytes >> 20;
        format!(
            "it has more than {} messages or {mebibytes} MiB{}",
            self.messages, self.advice
        )
    }
}

/// Reads all messages of a channel. `is_agent` tells whether an id is an agent's.
///
/// The server returns the messages before a time, and several may have the same one. So each page
/// begins with the last millisecond of the page before it.
pub(super) async fn read(
    reader: &ElizaOsReader,
    channel: Uuid,
    context: MessageContext<'_>,
    limits: Limits,
    is_agent: impl Fn(Uuid) -> bool,
) -> Result<Vec<ReadMessage>, ElizaOsError> {
    let mut seen = HashSet::new();
    let mut messages = Vec::new();
    let (mut limit, mut before, mut bytes) = (PAGE, None, 0);
    loop {
        let page = reader.messages(channel, limit, before).await?;
        let is_last = page.len() < limit;
        let next = next_before(&page)?;
        for message in page {
            if !seen.insert(id_of(&message)?) {
                continue;
            }
            let said =
                ReadMessage::read(message, context, &is_agent).map_err(ElizaOsError::Answer)?;
            bytes += said.as_ref().map_or(0, ReadMessage::bytes);
            messages.extend(said);
            if messages.len() > limits.messages || bytes > limits.bytes {
                return Err(ElizaOsError::Answer(limits.exceeded()));
            }
        }
        if is_last {
            return Ok(messages);
        }
        // A page of a single millisecond would be followed by itself.
        limit = if next == before { limit * 2 } else { PAGE };
        if limit > MAX_PAGE {
            let reason = format!("more than {} of its messages have the same time", limit / 2);
            return Err(ElizaOsError::Answer(reason));
        }
        before = next;
    }
}

fn id_of(message: &ChannelMessage) -> Result<Uuid, ElizaOsError> {
    let id = parse_uuid(&message.id);
    id.ok_or_else(|| ElizaOsError::Answer("the id of one of its messages is not a UUID".into()))
}

/// Returns the time before which the next page ends: the end of the millisecond of the oldest
/// message.
fn next_before(page: &[ChannelMessage]) -> Result<Option<i64>, ElizaOsError> {
    let Some(oldest) = page.last() else {
        return Ok(None);
    };
    let Some(at) = time(&oldest.created_at) else {
        let reason = "the createdAt of one of its messages is not a time";
        return Err(ElizaOsError::Answer(reason.into()));
    };
    Ok(Some(at.next().0))
}
