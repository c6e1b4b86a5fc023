//! Joins characters that a stream splits: programs that cut JavaScript strings anywhere send half
//! of a surrogate pair at the end of a chunk and the other half at the beginning of the next.

use serde_json::value::RawValue;

use crate::json::{self, JsPart, JsString};

/// Joins the halves of characters in consecutive chunks.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    /// A first half, whose second half may follow.
    high: Option<u16>,
}

impl Joiner {
    /// Returns the text of the next chunk. Half a character at its end is held back until the next
    /// call; a half without the other becomes U+FFFD.
    pub(crate) fn push(&mut self, chunk: &JsString) -> String {
        let mut text = String::new();
        for part in chunk.parts() {
            match (self.high.take(), part) {
                (Some(high), JsPart::Surrogate(low @ 0xdc00..)) => {
                    text.extend(char::decode_utf16([high, low]).flatten());
                }
                (high, part) => {
                    text.extend(high.map(|_| char::REPLACEMENT_CHARACTER));
                    self.push_part(part, &mut text);
                }
            }
        }
        text
    }

    /// Returns what is held back at the end of the stream.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let high = self.high.take();
        high.map(|_| char::REPLACEMENT_CHARACTER.into())
    }

    fn push_part(&mut self, part: JsPart<'_>, text: &mut String) {
        match part {
            JsPart::Text(part) => text.push_str(part),
            JsPart::Surrogate(high @ ..0xdc00) => self.high = Some(high),
            JsPart::Surrogate(_) => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Returns the first of these members of an object that is present and not null.
///
/// # Errors
/// The text is not a JSON object, or the member is not a string.
pub(crate) fn string_in(object: &str, names: &[&str]) -> serde_json::Result<Option<JsString>> {
    let members = json::members(object)?;
    let is_present = |text: &&RawValue| text.get() != "null";
    let mut found = names.iter().filter_map(|name| members.get(name));
    let found = found.find(is_present);
    found
        .map(|text| serde_json::from_str(text.get()))
        .transpose()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn joined(chunks: &[&str]) -> Vec<String> {
        let mut joiner = Joiner::default();
        let mut texts: Vec<_> = chunks
            .iter()
            .map(|chunk| joiner.push(&serde_json::from_str(&format!("\"{chunk}\"")).unwrap()))
            .collect();
        texts.extend(joiner.finish());
        texts
    }

    #[test]
    fn the_halves_of_a_character_are_joined() {
        for (chunks, texts) in [
            (&[r"a\ud83c", r"\udf89b"][..], &["a", "🎉b"][..]),
            (&[r"\ud83c", "", r"\udf89"], &["", "", "🎉"]),
            (&[r"\ud83c", "b"], &["", "\u{fffd}b"]),
            (&[r"\ud83c", r"\ud83c", r"\udf89"], &["", "\u{fffd}", "🎉"]),
            (&[r"\udf89", r"\ud83c"], &["\u{fffd}", "", "\u{fffd}"]),
            (&[r"\ud83c\udf89"], &["🎉"]),
        ] {
            assert_eq!(joined(chunks), texts, "{chunks:?}");
        }
    }

    #[test]
    fn the_first_member_that_is_present_counts() {
        let names = ["chunk", "text"];
        let read = |object: &str| {
            let string = string_in(object, &names).map_err(drop)?;
            Ok(string.map(|string| string.to_text()))
        };
        assert_eq!(read(r#"{"text": "b", "chunk": "a"}"#), Ok(Some("a".into())));
        assert_eq!(
            read(r#"{"chunk": null, "text": "b"}"#),
            Ok(Some("b".into()))
        );
        assert_eq!(read(r#"{"other": 1e999}"#), Ok(None));
        for wrong in [r#"{"chunk": 7}"#, "[]", "{"] {
            assert_eq!(read(wrong), Err(()), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn chunks_may_split_a_text_anywhere(text: String, cuts: Vec<bool>) {
            let mut cuts = cuts.into_iter();
            let mut chunks = vec![String::new()];
            for unit in text.encode_utf16() {
                if cuts.next() == Some(true) {
                    chunks.push(String::new());
                }
                write!(chunks.last_mut().unwrap(), "\\u{unit:04x}").unwrap();
            }
            let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
            prop_assert_eq!(joined(&chunks).concat(), text);
        }
    }
}
