//! Finds the parts of a text that occur in other texts.

use std::collections::HashMap;

/// A part of this many bytes is found anywhere. Windows are of bytes, since windows of characters
/// would miss scripts with long encodings.
pub(super) const WINDOW_BYTES: usize = 16;

/// Shorter secrets are only found as words.
const MIN_INFIX_BYTES: usize = 4;

type Window = [u8; WINDOW_BYTES];

/// A text, with the parts of it that were found in other texts.
pub(super) struct Matches<'t> {
    text: &'t str,
    /// Where each window of the text begins, until it is found.
    windows: HashMap<Window, Vec<usize>>,
    /// The replacement of each byte that was found.
    replacements: Vec<Option<&'static str>>,
}

impl<'t> Matches<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut windows: HashMap<Window, Vec<usize>> = HashMap::new();
        for (at, window) in windows_of(text) {
            windows.entry(window).or_default().push(at);
        }
        Self {
            text,
            windows,
            replacements: vec![None; text.len()],
        }
    }

    /// Finds a secret, and each part of 16 bytes of it.
    pub(super) fn find_secret(&mut self, secret: &str, replacement: &'static str) {
        let is_word = secret.len() < MIN_INFIX_BYTES;
        self.find(secret, is_word, replacement);
    }

    /// Finds a text, and each part of 16 bytes of it. A shorter one is found where it is a word by
    /// itself: "Invalid" does not contain "I".
    pub(super) fn find_text(&mut self, text: &str, replacement: &'static str) {
        self.find(text, text.len() < WINDOW_BYTES, replacement);
    }

    fn find(&mut self, other: &str, as_word: bool, replacement: &'static str) {
        if other.len() < WINDOW_BYTES {
            self.find_short(other, as_word, replacement);
            return;
        }
        for (_, window) in windows_of(other) {
            // Once is enough: a text of equal windows would otherwise take quadratic time.
            for at in self.windows.remove(&window).unwrap_or_default() {
                self.replace(at, at + WINDOW_BYTES, replacement);
            }
        }
    }

    fn find_short(&mut self, other: &str, as_word: bool, replacement: &'static str) {
        let is_edge = |c: Option<char>| !as_word || c.is_none_or(|c| !c.is_alphanumeric());
        let text = self.text;
        if other.is_empty() {
            return;
        }
        for (at, _) in text.match_indices(other) {
            let end = at + other.len();
            let before = text[..at].chars().next_back();
            if is_edge(before) && is_edge(text[end..].chars().next()) {
                self.replace(at, end, replacement);
            }
        }
    }

    fn replace(&mut self, start: usize, end: usize, replacement: &'static str) {
        for byte in &mut self.replacements[start..end] {
            byte.get_or_insert(replacement);
        }
    }

    /// Returns the text with the replacement of each part that was found. Characters of which some
    /// bytes were found belong to the part.
    pub(super) fn replaced(&self) -> String {
        let mut replaced = String::new();
        let mut current = None;
        for (at, char) in self.text.char_indices() {
            let bytes = &self.replacements[at..at + char.len_utf8()];
            let replacement = bytes.iter().flatten().next().copied();
            match replacement {
                None => replaced.push(char),
                Some(text) if replacement != current => replaced.push_str(text),
                Some(_) => {}
            }
            current = replacement;
        }
        replaced
    }
}

fn windows_of(text: &str) -> impl Iterator<Item = (usize, Window)> {
    let windows = text.as_bytes().windows(WINDOW_BYTES).enumerate();
    windows.filter_map(|(at, window)| Some((at, window.try_into().ok()?)))
}
