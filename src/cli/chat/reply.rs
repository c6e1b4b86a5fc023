//! A reply as it is shown while it is streamed.

use super::events::{StreamedActivity, StreamedMessage};
use super::screen::{Look, Screen};

/// The error of a message without a reply.
#[derive(Debug, thiserror::Error)]
#[error("no reply: {0}")]
pub(super) struct Unanswered(pub(super) String);

/// The reply that is being shown.
#[derive(Debug)]
pub(super) struct StreamedReply<'a> {
    screen: &'a mut Screen,
    agent: &'a str,
    /// The id of the reply, and its text so far.
    id: String,
    text: String,
    /// What of it is on the screen.
    shown: String,
    is_thinking: bool,
}

impl<'a> StreamedReply<'a> {
    pub(super) fn new(screen: &'a mut Screen, agent: &'a str) -> Self {
        Self {
            screen,
            agent,
            id: String::new(),
            text: String::new(),
            shown: String::new(),
            is_thinking: false,
        }
    }

    pub(super) fn screen(&mut self) -> &mut Screen {
        self.screen
    }

    /// Shows a piece of the reply.
    pub(super) fn add(&mut self, id: &str, piece: &str, index: u64) -> anyhow::Result<()> {
        if index == 0 || self.id != id {
            self.replace(id, "")?;
        }
        self.text.push_str(piece);
        self.show()
    }

    /// Takes up a reply of which this is the text so far, after the connection was lost.
    pub(super) fn replace(&mut self, id: &str, text: &str) -> anyhow::Result<()> {
        id.clone_into(&mut self.id);
        text.clone_into(&mut self.text);
        self.show()
    }

    /// Shows a stored message of the agent, whole.
    pub(super) fn store(&mut self, message: &StreamedMessage) -> anyhow::Result<()> {
        self.replace(&message.id, &message.text)?;
        if !self.screen.is_interactive() {
            self.screen.line(&message.text)?;
        }
        self.screen.end_line()?;
        if message.text.is_empty() && message.attachments.is_empty() {
            self.screen.note("(a reply without text)")?;
        }
        for attachment in &message.attachments {
            self.screen.note(&format!("(attachment: {attachment})"))?;
        }
        if message.is_truncated {
            self.screen
                .note("(the reply was longer, and was cut off)")?;
        }
        if message.is_interrupted {
            self.screen.note("(stopped)")?;
        }
        self.shown.clear();
        Ok(())
    }

    /// Ends what was shown of a reply that is not coming.
    pub(super) fn abandon(&mut self) -> anyhow::Result<()> {
        self.shown.clear();
        self.screen.end_line()
    }

    /// Shows what the agent does.
    pub(super) fn act(&mut self, activity: &StreamedActivity) -> anyhow::Result<()> {
        if !self.screen.is_interactive() {
            return Ok(());
        }
        if activity.kind == "thinking" {
            if !self.is_thinking {
                self.screen.end_line()?;
                self.screen.write("(thinking) ", Look::Dim)?;
                self.is_thinking = true;
            }
            return self.screen.write(&activity.text, Look::Dim);
        }
        self.is_thinking = false;
        let StreamedActivity {
            kind,
            name,
            state,
            text,
        } = activity;
        let words = [kind, name, state, text].map(|it| it.trim());
        let words: Vec<_> = words.into_iter().filter(|it| !it.is_empty()).collect();
        self.screen.note(&format!("({})", words.join(" ")))
    }

    /// Shows what is not on the screen yet. Other readers than people get a reply when it is stored,
    /// since its text may begin anew before that.
    fn show(&mut self) -> anyhow::Result<()> {
        // A reply that begins anew, such as after a restart, often has the same beginning.
        if !self.screen.is_interactive() || self.shown.starts_with(&self.text) {
            return Ok(());
        }
        let is_continued = !self.shown.is_empty() && self.text.starts_with(&self.shown);
        if !is_continued {
            self.screen.end_line()?;
            self.screen
                .write(&format!("{}: ", self.agent), Look::Bold)?;
            self.shown.clear();
        } else if self.is_thinking {
            self.screen.end_line()?;
        }
        self.is_thinking = false;
        self.screen
            .write(&self.text[self.shown.len()..], Look::Plain)?;
        self.shown.clone_from(&self.text);
        Ok(())
    }
}
