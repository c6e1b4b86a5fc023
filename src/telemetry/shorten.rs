//! Limits text from clients in log lines.

use std::borrow::Cow;

/// The longest text from a client in a log line, in bytes.
const MAX_BYTES: usize = 256;

/// Returns a client's text for the log: unchanged up to 256 bytes, else cut between two characters
/// and followed by its length, as in `/a…(60000 bytes)`.
#[must_use]
pub fn shorten(text: &str) -> Cow<'_, str> {
    shorten_to(text, MAX_BYTES)
}

/// As [`shorten`], to another length in bytes.
pub(super) fn shorten_to(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(max_bytes)];
    Cow::Owned(format!("{start}…({} bytes)", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_up_to_256_bytes_is_unchanged() {
        for text in ["", "/api", &"x".repeat(256), &"é".repeat(128)] {
            assert_eq!(shorten(text), text);
        }
    }

    #[test]
    fn a_longer_text_is_cut_between_two_characters_and_marked() {
        for (character, whole) in [("x", 256), ("é", 128), ("€", 85), ("🦀", 64)] {
            let text = character.repeat(1000);
            let shown = format!("{}…({} bytes)", character.repeat(whole), text.len());
            assert_eq!(shorten(&text), shown);
        }
        assert_eq!(
            shorten(&"x".repeat(257)),
            format!("{}…(257 bytes)", "x".repeat(256))
        );
    }
}
