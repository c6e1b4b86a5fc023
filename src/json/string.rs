//! Strings of JavaScript: UTF-16 code units, which may be ill-formed.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// The length of a surrogate in WTF-8, in bytes.
const SURROGATE_LEN: usize = 3;

/// A JSON string with its unpaired surrogates, each half a character. Parse it from the text as it
/// was sent: [`from_js`](super::from_js) replaces them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsString {
    /// UTF-8, except that surrogates are encoded like other code points.
    wtf8: Vec<u8>,
}

/// A part of a [`JsString`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsPart<'a> {
    /// Complete characters.
    Text(&'a str),
    /// Half of a character.
    Surrogate(u16),
}

impl JsString {
    /// Returns the parts in order. Texts are not empty, and no two of them are adjacent.
    pub fn parts(&self) -> impl Iterator<Item = JsPart<'_>> {
        let mut rest = self.wtf8.as_slice();
        std::iter::from_fn(move || {
            let (part, after) = first_part(rest)?;
            rest = after;
            Some(part)
        })
    }

    /// Returns the text, with U+FFFD for each surrogate.
    #[must_use]
    pub fn to_text(&self) -> String {
        let texts = self.parts().map(|part| match part {
            JsPart::Text(text) => text,
            JsPart::Surrogate(_) => "\u{fffd}",
        });
        texts.collect()
    }
}

/// Splits off the first part of WTF-8 bytes.
fn first_part(bytes: &[u8]) -> Option<(JsPart<'_>, &[u8])> {
    if let Some(unit) = surrogate(bytes) {
        return Some((JsPart::Surrogate(unit), &bytes[SURROGATE_LEN..]));
    }
    let mut candidates = memchr::memchr_iter(0xed, bytes);
    let end = candidates.find(|at| surrogate(&bytes[*at..]).is_some());
    let (text, after) = bytes.split_at(end.unwrap_or(bytes.len()));
    // Without surrogates, WTF-8 is UTF-8.
    let text = str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    Some((JsPart::Text(text), after))
}

/// Returns the surrogate at the start of the bytes.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0xed, middle @ 0xa0..=0xbf, last, ..] => {
            Some(0xd000 | u16::from(middle & 0x3f) << 6 | u16::from(last & 0x3f))
        }
        _ => None,
    }
}

impl From<&str> for JsString {
    fn from(text: &str) -> Self {
        Self {
            wtf8: text.as_bytes().to_vec(),
        }
    }
}

impl<'de> Deserialize<'de> for JsString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = JsString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<JsString, E> {
                let wtf8 = bytes.to_vec();
                Ok(JsString { wtf8 })
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<JsString, E> {
                self.visit_bytes(text.as_bytes())
            }
        }

        // `serde_json` refuses unpaired surrogates in strings, and accepts them in bytes.
        deserializer.deserialize_bytes(Reader)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> JsString {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn surrogates_separate_texts() {
        let string = read(r#""é\ud83c!\ud83c\udf89\udf89\ud83c한""#);
        let parts: Vec<_> = string.parts().collect();
        let wanted = [
            JsPart::Text("é"),
            JsPart::Surrogate(0xd83c),
            JsPart::Text("!🎉"),
            JsPart::Surrogate(0xdf89),
            JsPart::Surrogate(0xd83c),
            JsPart::Text("한"),
        ];
        assert_eq!(parts, wanted);
        assert_eq!(string.to_text(), "é\u{fffd}!🎉\u{fffd}\u{fffd}한");
        assert_eq!(read(r#""""#).parts().count(), 0);
    }

    #[test]
    fn only_strings_are_accepted() {
        for text in ["7", "null", "true", "[65]", "{}", r#""\ud8"#, r#""\udxyz""#] {
            assert!(serde_json::from_str::<JsString>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_utf_16_text_is_parsed_as_by_browsers(units: Vec<u16>) {
            let escaped: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let read = read(&format!("\"{}\"", escaped.concat()));
            prop_assert_eq!(read.to_text(), String::from_utf16_lossy(&units));
        }
    }
}
