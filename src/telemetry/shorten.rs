//! Text from clients, short enough for a log line.

use std::borrow::Cow;

/// The longest text that a log line takes from a client, in bytes.
const MAX_BYTES: usize = 256;

/// Returns a text that a client chose as log lines show it: whole up to 256 bytes, else the
/// characters that fit in them, with the whole length behind as a mark: `/a…(60000 bytes)`.
///
/// Nothing that a client makes up decides how long a line of the log is.
#[must_use]
pub fn shorten(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_BYTES {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(MAX_BYTES)];
    Cow::Owned(format!("{start}…({} bytes)", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_256_bytes_a_text_is_shown_whole() {
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
