//! What an import from `ElizaOS` reports.

use anyhow::bail;
use serde::Serialize;

use super::super::check::counted;
use super::super::output::{one_line, print, print_json};

/// The longest name in the output, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The result.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) database: String,
    pub(super) sessions: u64,
    pub(super) messages: u64,
    /// The user's messages among them that have no reply.
    pub(super) unanswered: u64,
    /// The sessions that existed already.
    pub(super) skipped: u64,
    pub(super) left_out: Vec<LeftOutChannel>,
    /// How many of them because the other server failed.
    pub(super) failed: u64,
}

/// A channel that cannot be a session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeftOutChannel {
    pub(super) channel_id: String,
    pub(super) name: String,
    pub(super) reason: String,
}

impl LeftOutChannel {
    fn line(&self) -> String {
        let Self {
            channel_id,
            name,
            reason,
        } = self;
        if name.is_empty() {
            return format!("left out channel {channel_id}: {reason}");
        }
        format!("left out channel {channel_id} ({name}): {reason}")
    }
}

impl Summary {
    pub(super) fn leave_out(&mut self, id: &str, name: &str, reason: String) {
        self.left_out.push(LeftOutChannel {
            channel_id: cut(id),
            name: cut(name),
            reason,
        });
    }

    pub(super) fn report(&self, is_json: bool) -> anyhow::Result<()> {
        if is_json {
            print_json(self)?;
        } else {
            self.print()?;
        }
        if self.failed > 0 {
            bail!(
                "{} left out because ElizaOS failed; run the command again to go on",
                counted(self.failed, "channel")
            );
        }
        Ok(())
    }

    fn print(&self) -> anyhow::Result<()> {
        for channel in &self.left_out {
            print(&one_line(&channel.line()))?;
        }
        if self.unanswered > 0 {
            print(&format!(
                "{} without a reply: ElizaOS does not store the replies that it sends over the \
                 transports http and sse, only those over websocket",
                counted(self.unanswered, "message")
            ))?;
        }
        print(&self.counts())
    }

    /// Returns the numbers as one line.
    pub(super) fn counts(&self) -> String {
        let imported = format!(
            "{}: {}, {}",
            self.database,
            counted(self.sessions, "session"),
            counted(self.messages, "message")
        );
        let left_out = self.left_out.len();
        format!(
            "{imported} imported; {} skipped, which existed; {left_out} left out",
            self.skipped
        )
    }
}

/// Returns a name from the other server, cut if it is long.
pub(super) fn cut(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
