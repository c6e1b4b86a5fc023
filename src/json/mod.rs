//! Parses JSON that JavaScript programs wrote.
//!
//! `JSON.stringify` escapes an unpaired surrogate when a string was cut inside a character
//! (`"\ud83c"`), and some programs write a UTF-8 byte order mark. Browsers accept both, and
//! `TextEncoder` and WebSocket replace unpaired surrogates with U+FFFD. RFC 8259 allows a parser to
//! do the same (sections 8.1 and 8.2); `serde_json` refuses both. Of members with the same name
//! `JSON.parse` takes the last; a struct that derives `Deserialize` refuses the second.

mod field;
mod members;
mod raw;
mod reserved;
mod string;
mod texts;
mod value;

use std::borrow::Cow;

use memchr::memmem;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::field::{Field, JsNumber};
pub use self::members::Members;
pub use self::raw::{raw, raw_object};
pub use self::reserved::refuse_reserved_names;
pub use self::string::{JsPart, JsString};
pub use self::texts::texts;
pub use self::value::{is_same, kind, read, text};

/// The UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The escape of U+FFFD. It is as long as the replaced one, so positions in errors stay valid.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// Parses JSON text. A byte order mark is skipped, an unpaired surrogate becomes U+FFFD, and of
/// members with the same name the last one counts.
///
/// # Errors
/// The text is not JSON, a number is beyond the range of [`f64`], it is nested more than 127 levels
/// deep, a name in it is reserved (see [`refuse_reserved_names`]), or it does not fit `T`.
pub fn from_js<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let text = well_formed(text);
    refuse_reserved_names(&text)?;
    serde_json::from_slice(&text).or_else(|error| {
        // A name may occur twice: a `Value` keeps the last member, which may fit `T`.
        let value = serde_json::from_slice::<Value>(&text).ok();
        match value.map(T::deserialize) {
            Some(Ok(parsed)) if error.is_data() => Ok(parsed),
            // Only the first error has a position in the text.
            _ => Err(error),
        }
    })
}

/// Splits the text of an object into its members, each as it was sent, so that an invalid one does
/// not affect the others. A byte order mark is skipped.
///
/// # Errors
/// The text is not a JSON object.
pub fn members(text: &str) -> serde_json::Result<Members<'_>> {
    serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Returns whether an object has this member, and it is true.
#[must_use]
pub fn is_true(object: &str, member: &str) -> bool {
    let members = members(object);
    let value = members
        .as_ref()
        .ok()
        .and_then(|members| members.get(member));
    value.is_some_and(|value| value.get() == "true")
}

/// Returns an error's message for the author of the text, with the position in it.
#[must_use]
pub fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The library's errors have no codes.
    for (found, explained) in [
        (
            "recursion limit exceeded",
            "it is nested more than 127 levels deep",
        ),
        (
            "number out of range",
            "a number is beyond the range of a double (about 1.8e308)",
        ),
    ] {
        if let Some(position) = text.strip_prefix(found) {
            return format!("{explained}{position}");
        }
    }
    text
}

/// Returns the text without a byte order mark, and with U+FFFD for unpaired surrogates. It replaces
/// [`from_js`] if the parsed value borrows from the text; call [`refuse_reserved_names`] too.
#[must_use]
pub fn well_formed(text: &[u8]) -> Cow<'_, [u8]> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if !may_have_surrogates(text) {
        return Cow::Borrowed(text);
    }
    let mut text = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        let end = at + REPLACEMENT.len();
        at = match (code_unit(&text[at..]), text.get(end..).and_then(code_unit)) {
            // A pair.
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => end + REPLACEMENT.len(),
            (Some(0xd800..=0xdfff), _) => {
                text.to_mut()[at..end].copy_from_slice(REPLACEMENT);
                end
            }
            _ => at + 2,
        };
    }
    text
}

/// Returns whether a text may have escaped surrogates. Most have none.
fn may_have_surrogates(text: &[u8]) -> bool {
    let escapes: [&[u8]; 2] = [b"\\ud", b"\\uD"];
    escapes
        .iter()
        .any(|escape| memmem::find(text, escape).is_some())
}

/// Returns the UTF-16 code unit of a `\uXXXX` escape at the start of a text.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits = str::from_utf8(digits).ok()?;
    // The parser itself would accept a sign, too.
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::cut_inside_a_character(r#""Great news \ud83c""#, "Great news \u{fffd}")]
    #[case::low_half_without_the_other(r#""\udf89!""#, "\u{fffd}!")]
    #[case::pair(r#""\ud83c\udf89""#, "🎉")]
    #[case::upper_case(r#""\uD83C\uDF89 \uD83C""#, "🎉 \u{fffd}")]
    #[case::two_high_halves(r#""\ud83c\ud83c\udf89""#, "\u{fffd}🎉")]
    #[case::halves_in_the_wrong_order(r#""\udf89\ud83c""#, "\u{fffd}\u{fffd}")]
    #[case::escaped_backslash(r#""\\ud83c""#, r"\ud83c")]
    #[case::backslash_before_an_escape(r#""\\\ud83c""#, "\\\u{fffd}")]
    #[case::high_half_before_another_escape(r#""\ud83c\n""#, "\u{fffd}\n")]
    #[case::high_half_before_text(r#""\ud83cudf89""#, "\u{fffd}udf89")]
    #[case::no_surrogate(r#""\u00e9\ud7ff""#, "é\u{d7ff}")]
    fn an_unpaired_surrogate_becomes_the_replacement_character(
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(from_js::<String>(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn names_of_members_are_parsed_the_same_way() {
        let parsed: Value = from_js(br#"{"\ud83c": ["\udf89"]}"#).unwrap();
        assert_eq!(parsed, json!({ "\u{fffd}": ["\u{fffd}"] }));
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Answer {
        text: String,
        #[serde(default)]
        inner: Option<Box<Answer>>,
    }

    #[test]
    fn the_last_member_of_a_name_counts() {
        let answer = |text: &str, inner| Answer {
            text: text.into(),
            inner,
        };
        for (text, expected) in [
            (r#"{"text": "a", "text": "b"}"#, answer("b", None)),
            (r#"{"text": 7, "text": "b"}"#, answer("b", None)),
            (
                r#"{"text": "a", "inner": {"text": "x", "text": "\ud83c"}}"#,
                answer("a", Some(Box::new(answer("\u{fffd}", None)))),
            ),
        ] {
            assert_eq!(from_js::<Answer>(text.as_bytes()).unwrap(), expected);
        }
        let error = from_js::<Answer>(br#"{"text": "a", "text": 7}"#).unwrap_err();
        assert_eq!((error.line(), error.column()), (1, 20));
    }

    #[test]
    fn texts_are_parsed_to_127_levels_and_no_deeper() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(from_js::<Value>(nested(127).as_bytes()).is_ok());
        for levels in [128, 100_000] {
            let error = from_js::<Value>(nested(levels).as_bytes()).unwrap_err();
            let message = "it is nested more than 127 levels deep at line 1 column 128";
            assert_eq!(explain(&error), message);
        }
        let open = "{\"a\":".repeat(1_000_000);
        assert!(from_js::<Value>(open.as_bytes()).is_err());
    }

    #[test]
    fn an_error_gives_the_reason_and_the_position() {
        for (text, message) in [
            (
                "[1e400]",
                "a number is beyond the range of a double (about 1.8e308) at line 1 column 6",
            ),
            ("[1,]", "trailing comma at line 1 column 4"),
        ] {
            let error = from_js::<Value>(text.as_bytes()).unwrap_err();
            assert_eq!(explain(&error), message);
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        assert_eq!(
            from_js::<Value>(b"\xef\xbb\xbf{\"a\":1}").unwrap(),
            json!({ "a": 1 })
        );
        assert!(from_js::<Value>(b"\xef\xbb\xbf\xef\xbb\xbf{}").is_err());
        assert!(from_js::<Value>(b"{}\xef\xbb\xbf").is_err());
    }

    #[rstest]
    #[case::no_hex_digits(r#""\udxyz""#)]
    #[case::sign(r#""\ud+12""#)]
    #[case::cut_off(r#""\ud8"#)]
    #[case::cut_off_after_the_backslash(r#""\ud83c\"#)]
    #[case::beyond_f64("1e400")]
    #[case::empty("")]
    fn text_that_is_not_json_is_an_error(#[case] text: &str) {
        assert!(from_js::<Value>(text.as_bytes()).is_err());
    }

    #[test]
    fn an_error_gives_the_position_in_the_text_as_sent() {
        let text = br#"{"a": "\ud83c", "b": x}"#;
        let error = from_js::<Value>(text).unwrap_err();
        assert_eq!((error.line(), error.column()), (1, 22));
    }

    proptest! {
        #[test]
        fn any_utf_16_text_is_parsed_as_by_browsers(units: Vec<u16>) {
            let escaped = units.iter().map(|unit| format!("\\u{unit:04x}"));
            let escaped = escaped.collect::<Vec<_>>().concat();
            let parsed: String = from_js(format!("\"{escaped}\"").as_bytes()).unwrap();
            prop_assert_eq!(parsed, String::from_utf16_lossy(&units));
        }

        #[test]
        fn well_formed_json_is_not_changed(text: String) {
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(&*well_formed(&json), &*json);
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _ = from_js::<Value>(&bytes);
            let _ = well_formed(&[b"\\ud800", &*bytes].concat());
        }
    }
}
