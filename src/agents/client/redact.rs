//! Redacts the messages of other servers for the log.

use std::fmt;

use memchr::memmem;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};

use crate::agents::backend::TurnRequest;

/// Longer messages are cut, in characters.
const MAX_CHARS: usize = 300;

/// A message that shares this many bytes with the conversation repeats it.
const WINDOW_BYTES: usize = 16;

/// Removes secrets and anything of the conversation from texts.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// Secrets, each with its replacement.
    secrets: Vec<(SecretString, &'static str)>,
    /// The conversation and the system prompt.
    texts: Vec<String>,
}

impl Redactor {
    /// Returns a redactor of a key and of a request's conversation.
    pub(crate) fn new(key: Option<&SecretString>, request: &TurnRequest, system: &str) -> Self {
        let message = &request.message.body.content;
        let messages = request.history.messages().iter();
        let texts = messages.map(|message| &message.body.content);
        let texts = texts.chain(request.history.statements());
        let texts = texts.chain([message]).cloned();
        Self {
            texts: texts.chain([system.to_owned()]).collect(),
            ..Self::for_key(key)
        }
    }

    /// Returns a redactor of a key only.
    pub(crate) fn for_key(key: Option<&SecretString>) -> Self {
        Self {
            secrets: key.map(|key| (key.clone(), "[key]")).into_iter().collect(),
            texts: Vec::new(),
        }
    }

    /// Adds the values of headers.
    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        let values = headers.values().filter_map(|value| value.to_str().ok());
        let values = values.filter(|value| !value.is_empty());
        self.secrets
            .extend(values.map(|value| (value.into(), "[header]")));
        self
    }

    /// Returns the text as it may be logged, in one line.
    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (secret, replacement) in &self.secrets {
            text = text.replace(secret.expose_secret(), replacement);
        }
        let cut: String = text.chars().take(MAX_CHARS).collect();
        if self.texts.iter().any(|said| repeats(&cut, said)) {
            return "[it repeats the conversation]".into();
        }
        cut.replace(|c: char| c.is_control(), " ")
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(..)")
    }
}

/// Returns whether a text contains `said`, or a window of 16 bytes of it.
fn repeats(text: &str, said: &str) -> bool {
    let said = said.trim();
    if said.len() < WINDOW_BYTES {
        return has_word(text, said);
    }
    // Every part of twice the window's length contains one of these windows. They are bytes, since
    // windows of whole characters would miss scripts with long encodings.
    let mut windows = text
        .as_bytes()
        .windows(WINDOW_BYTES)
        .step_by(WINDOW_BYTES / 2);
    windows.any(|window| memmem::find(said.as_bytes(), window).is_some()) || text.contains(said)
}

/// Returns whether a text contains `word` as a whole word: "Invalid" does not contain "I".
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
            secrets: vec![("sk-12345".into(), "[key]")],
            texts: texts.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_key_is_replaced_and_the_rest_stays() {
        let redactor = redactor(&[]);
        assert_eq!(
            redactor.redact("Wrong key: sk-12345.\nTry another"),
            "Wrong key: [key]. Try another"
        );
        assert_eq!(redactor.redact(&"é".repeat(400)), "é".repeat(300));
        assert_eq!(format!("{redactor:?}"), "Redactor(..)");
    }

    #[test]
    fn the_value_of_a_header_is_replaced() {
        let headers = [("x-api-key", "hk-1"), ("x-empty", "")];
        let headers = headers.map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        let redactor = redactor(&[]).with_headers(&HeaderMap::from_iter(headers));
        assert_eq!(redactor.redact("hk-1 is unknown"), "[header] is unknown");
    }

    #[test]
    fn a_text_that_repeats_the_conversation_is_replaced() {
        let secret = "My doctor says that I have something no one should know of";
        let japanese = "医者は、誰にも知られてはいけない病気だと言っています";
        let redactor = redactor(&[secret, japanese, "Invalid", "no"]);
        for text in [
            format!("cannot parse: {secret}"),
            "bad input near 'something no one should know'".to_owned(),
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
