//! What of another server's words may stand in the log.

use std::fmt;

use memchr::memmem;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};

use crate::agents::backend::TurnRequest;

/// The longest text of another server's that is logged, in characters.
const MAX_CHARS: usize = 300;

/// A text that shares so many bytes with the conversation repeats it.
const WINDOW: usize = 16;

/// Takes out of a text what must not stand in the log: keys, and anything of the conversation.
#[derive(Clone, Default)]
pub(in crate::agents) struct Redactor {
    key: Option<SecretString>,
    /// Values of the request's own headers.
    headers: Vec<SecretString>,
    texts: Vec<String>,
}

impl Redactor {
    /// Returns one for this key, and for the conversation that a backend is asked about.
    pub(in crate::agents) fn new(
        key: Option<&SecretString>,
        request: &TurnRequest,
        system: &str,
    ) -> Self {
        let message = &request.message.body.content;
        let messages = request.history.messages().iter();
        let texts = messages.map(|message| &message.body.content);
        let texts = texts.chain(request.history.statements());
        let texts = texts.chain([message]).cloned();
        Self {
            key: key.cloned(),
            headers: Vec::new(),
            texts: texts.chain([system.to_owned()]).collect(),
        }
    }

    /// Returns one for this key alone.
    pub(in crate::agents) fn for_key(key: Option<&SecretString>) -> Self {
        Self {
            key: key.cloned(),
            ..Self::default()
        }
    }

    /// Also takes out the values of these headers.
    pub(in crate::agents) fn hiding(mut self, headers: &HeaderMap) -> Self {
        let values = headers.values().filter_map(|value| value.to_str().ok());
        let values = values.filter(|value| !value.is_empty());
        self.headers = values.map(SecretString::from).collect();
        self
    }

    /// Returns another server's words as they may be logged.
    pub(in crate::agents) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if let Some(key) = &self.key {
            text = text.replace(key.expose_secret(), "[key]");
        }
        for value in &self.headers {
            text = text.replace(value.expose_secret(), "[header]");
        }
        let cut: String = text.chars().take(MAX_CHARS).collect();
        let is_repeated = self.texts.iter().any(|said| repeats(&cut, said));
        let cut = if is_repeated {
            "[it repeats the conversation]".to_owned()
        } else {
            cut
        };
        // A line of the log is one line.
        cut.replace(|c: char| c.is_control(), " ")
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(..)")
    }
}

/// Whether a text contains what was said, or a good part of it.
fn repeats(text: &str, said: &str) -> bool {
    let said = said.trim();
    if said.len() < WINDOW {
        return has_word(text, said);
    }
    // Every part of twice the window's length holds one of these windows. They are bytes, since in
    // some scripts none of them would be whole characters.
    let mut windows = text.as_bytes().windows(WINDOW).step_by(WINDOW / 2);
    windows.any(|window| memmem::find(said.as_bytes(), window).is_some()) || text.contains(said)
}

/// Whether a short text stands in another as words of their own: "I" is not said by "Invalid".
fn has_word(text: &str, word: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            is_edge(before) && is_edge(text[at + word.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(texts: &[&str]) -> Redactor {
        Redactor {
            key: Some("sk-12345".into()),
            headers: Vec::new(),
            texts: texts.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_key_is_left_out_and_the_rest_stays() {
        let redactor = redactor(&[]);
        assert_eq!(
            redactor.redact("Wrong key: sk-12345.\nTry another"),
            "Wrong key: [key]. Try another"
        );
        assert_eq!(redactor.redact(&"é".repeat(400)), "é".repeat(300));
        assert_eq!(format!("{redactor:?}"), "Redactor(..)");
    }

    #[test]
    fn the_value_of_a_header_is_left_out() {
        let headers = [("x-api-key", "hk-1"), ("x-empty", "")];
        let headers = headers.map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        let redactor = redactor(&[]).hiding(&HeaderMap::from_iter(headers));
        assert_eq!(redactor.redact("hk-1 is unknown"), "[header] is unknown");
    }

    #[test]
    fn what_repeats_the_conversation_is_left_out() {
        let secret = "My doctor says that I have something nobody should know of";
        let japanese = "医者は、誰にも知られてはいけない病気だと言っています";
        let redactor = redactor(&[secret, japanese, "Invalid", "no"]);
        for text in [
            format!("cannot parse: {secret}"),
            "bad input near 'something nobody should know'".to_owned(),
            "you said no!".to_owned(),
            "bad input near '誰にも知られてはいけない病気'".to_owned(),
        ] {
            assert_eq!(redactor.redact(&text), "[it repeats the conversation]");
        }
        for text in ["model not found", "cannot allocate memory"] {
            assert_eq!(redactor.redact(text), text);
        }
    }
}
