//! Characters that were cut in two: a program that cuts JavaScript's strings at any place sends
//! half of a surrogate pair at the end of one chunk and the other half at the beginning of the next.

use serde_json::value::RawValue;

use crate::json::{self, JsPart, JsString};

/// Joins the halves of characters that a stream has in two of its chunks.
#[derive(Debug, Default)]
pub(in crate::agents) struct Joiner {
    /// The first half of a character, the second half of which may come.
    high: Option<u16>,
}

impl Joiner {
    /// The text of the next chunk. Half a character at its end is held back until it is known what
    /// follows; a half that stays alone becomes U+FFFD.
    pub(in crate::agents) fn push(&mut self, chunk: &JsString) -> String {
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

    /// What is still held back when the stream ends.
    pub(in crate::agents) fn finish(&mut self) -> Option<String> {
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

/// The string in the first of these members that an object has; null is none.
///
/// # Errors
/// The text is no JSON object, or that member is no string.
pub(in crate::agents) fn string_in(
    object: &str,
    names: &[&str],
) -> serde_json::Result<Option<JsString>> {
    let members = json::members(object)?;
    let is_there = |text: &&RawValue| text.get() != "null";
    let mut found = names.iter().filter_map(|name| members.get(name));
    let found = found.find(is_there);
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
    fn the_first_string_that_is_there_counts() {
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
        fn a_text_is_the_same_wherever_it_is_cut(text: String, cuts: Vec<bool>) {
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
