//! Searching: which messages match, and where a search continues.

use memchr::memmem;
use uuid::Uuid;

use super::id::{AgentId, SessionId, UserId};
use super::message::Message;
use super::session::Session;
use super::time::Timestamp;

/// A text to search for, compared by Unicode lower case without normalization. A final sigma equals
/// a sigma, since both have the same upper case.
#[derive(Debug, Clone)]
pub struct SearchText {
    folded: String,
}

/// Compares many texts with a [`SearchText`]. The buffer is reused.
#[derive(Debug)]
pub struct TextMatcher {
    finder: memmem::Finder<'static>,
    is_ascii: bool,
    buffer: String,
}

/// The messages to search. Absent conditions match all.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Only messages that contain this text.
    pub text: Option<SearchText>,
    /// Only messages of this session.
    pub session: Option<SessionId>,
    /// Only messages of this author, a user or an agent.
    pub author: Option<Uuid>,
    /// Only messages at or after this time.
    pub from: Option<Timestamp>,
    /// Only messages at or before this time.
    pub to: Option<Timestamp>,
    /// Only sessions of this user.
    pub user: Option<UserId>,
    /// Only sessions of this agent.
    pub agent: Option<AgentId>,
}

/// The last message that a search examined. Sessions are searched newest first by id, the messages
/// of a session newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchPosition {
    /// The session.
    pub session: SessionId,
    /// The time of the message; [`Timestamp::MIN`] after the last message of the session.
    pub at: Timestamp,
}

impl SearchText {
    /// Prepares a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut folded = String::new();
        fold(&mut folded, text);
        Self { folded }
    }

    /// Returns the text in the form in which it is compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.folded
    }

    /// Returns a matcher.
    #[must_use]
    pub fn matcher(&self) -> TextMatcher {
        TextMatcher {
            finder: memmem::Finder::new(&self.folded).into_owned(),
            is_ascii: self.folded.is_ascii(),
            buffer: String::new(),
        }
    }
}

impl TextMatcher {
    /// Returns whether a text contains the searched one.
    pub fn matches(&mut self, text: &str) -> bool {
        self.buffer.clear();
        if text.is_ascii() {
            if !self.is_ascii || text.len() < self.finder.needle().len() {
                return false;
            }
            self.buffer.push_str(text);
            self.buffer.make_ascii_lowercase();
        } else {
            fold(&mut self.buffer, text);
        }
        self.finder.find(self.buffer.as_bytes()).is_some()
    }
}

impl MessageFilter {
    /// Returns whether the messages of a session can match.
    #[must_use]
    pub fn includes(&self, session: &Session) -> bool {
        self.session.is_none_or(|id| session.id == id)
            && self.user.is_none_or(|user| session.user_id == user)
            && self.agent.is_none_or(|agent| session.agent_id == agent)
    }

    /// Returns whether a message of an included session matches, except for its text.
    #[must_use]
    pub fn admits<T>(&self, message: &Message<T>) -> bool {
        self.author.is_none_or(|author| message.author_id == author)
            && self.from.is_none_or(|from| message.created_at >= from)
            && self.to.is_none_or(|to| message.created_at <= to)
    }
}

/// Appends the lower case of a text. Each character is converted by itself.
fn fold(folded: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            _ if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            'ς' => folded.push('σ'),
            _ => folded.extend(c.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(text: &str, searched: &str) -> bool {
        SearchText::new(searched).matcher().matches(text)
    }

    #[test]
    fn case_is_ignored_in_all_scripts() {
        for (text, searched) in [
            ("Hello World", "LO wo"),
            ("Größe", "GRÖSSE".replace("SS", "ß").as_str()),
            ("ПРИВЕТ, мир", "привет, МИР"),
            ("ΟΔΟΣ", "οδος"),
            ("οδος", "ΟΔΟΣ"),
            ("ΟΔΟΣΑ", "οδοσ"),
            ("İstanbul", "i\u{307}stanbul"),
            ("300 K", "300 \u{212a}"),
            ("300 \u{212a}", "k"),
            ("日本語のテキスト", "語の"),
        ] {
            assert!(contains(text, searched), "{text} {searched}");
        }
        for (text, searched) in [
            ("Hello", "hallo"),
            ("Hello", "hello "),
            ("Große", "Grosse"),
            ("cafe\u{301}", "café"),
            ("plain", "é"),
            ("", "a"),
        ] {
            assert!(!contains(text, searched), "{text} {searched}");
        }
    }

    #[test]
    fn a_matcher_is_reused() {
        let mut matcher = SearchText::new("ab").matcher();
        let texts = ["xABx", "é", "éaB", "a", "ab"];
        let found = texts.map(|text| matcher.matches(text));
        assert_eq!(found, [true, false, true, false, true]);
    }

    proptest! {
        #[test]
        fn a_part_of_a_text_is_found_in_any_case(text in "\\PC{1,40}", start in 0..40_usize, length in 1..40_usize) {
            let part: String = text.chars().skip(start).take(length).collect();
            // The upper case of some characters has another lower case: `ß` becomes `SS`.
            let upper: String = part
                .chars()
                .map(|c| {
                    let upper = c.to_uppercase().collect::<String>();
                    if SearchText::new(&upper).folded == SearchText::new(&c.to_string()).folded {
                        upper
                    } else {
                        c.to_string()
                    }
                })
                .collect();
            prop_assert!(contains(&text, &part));
            prop_assert!(contains(&text, &upper));
        }

        #[test]
        fn lower_case_is_that_of_the_standard_library(text in "[^Σς]{0,30}", searched in "[^Σς]{1,3}") {
            let expected = text.to_lowercase().contains(&searched.to_lowercase());
            prop_assert_eq!(contains(&text, &searched), expected);
        }
    }
}
