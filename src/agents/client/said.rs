//! What a backend has said so far in its answer, so that a later error does not repeat it to
//! operators.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::agents::backend::Piece;
use crate::domain::activity::ActivityKind;

/// How much of each text is kept, in bytes. Replies are not longer.
const MAX_BYTES: usize = 64 * 1024;

/// How much of the beginning and of the end of a longer text stays, in bytes: as much as is
/// examined of an error.
pub(super) const EDGE_BYTES: usize = 16 * 1024;

/// The texts of an answer. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Texts>>);

#[derive(Default)]
struct Texts {
    /// The text of the chunks.
    reply: String,
    /// The reasoning. An error may repeat it across pieces, so nothing else is in between.
    thinking: String,
    /// The texts of other activity.
    activity: String,
}

impl Said {
    /// Adds the text of a piece.
    pub(super) fn add(&self, piece: &Piece) {
        match piece {
            Piece::Chunk(text) => append(&mut self.lock().reply, text),
            Piece::Activity(activity) => {
                let Some(text) = &activity.text else {
                    return;
                };
                let mut texts = self.lock();
                match activity.kind {
                    ActivityKind::Thinking => append(&mut texts.thinking, text),
                    _ => append(&mut texts.activity, &format!("{text}\n")),
                }
            }
            Piece::Done(..) | Piece::Info(_) | Piece::Later | Piece::RemoteSession(_) => {}
        }
    }

    /// Returns the texts.
    pub(super) fn texts(&self) -> [String; 3] {
        let texts = self.lock();
        [&texts.reply, &texts.thinking, &texts.activity].map(String::clone)
    }

    fn lock(&self) -> MutexGuard<'_, Texts> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(text: &mut String, more: &str) {
    text.push_str(more);
    if text.len() > MAX_BYTES {
        let start = text.ceil_char_boundary(EDGE_BYTES);
        let end = text.floor_char_boundary(text.len() - EDGE_BYTES);
        text.replace_range(start..end, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::activity::Activity;

    #[test]
    fn the_beginning_and_the_end_of_a_long_text_stay() {
        let said = Said::default();
        said.add(&Piece::Activity(Activity::thinking("first".into())));
        for _ in 0..10_000 {
            let thinking = Activity::thinking("é".repeat(50));
            said.add(&Piece::Activity(thinking));
        }
        said.add(&Piece::Activity(Activity::thinking("last".into())));
        said.add(&Piece::Chunk("Yes.".into()));
        let [reply, thinking, activity] = said.texts();
        assert_eq!((&*reply, &*activity), ("Yes.", ""));
        assert!(thinking.starts_with("first") && thinking.ends_with("last"));
        assert!(thinking.len() <= MAX_BYTES, "{}", thinking.len());
    }
}
