//! Names that `serde_json` gives a meaning of its own.
//!
//! Its `Value` reads `{"$serde_json::private::RawValue": "[1]"}` as `[1]`: the text in a string
//! becomes a part of the document. Whoever sends that could nest values deeper than the limit, and
//! store what cannot be read again. Nobody has another use for such a name, so it is refused.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// How all of them begin.
const PREFIX: &str = "$serde_json::private::";

/// Refuses a text with such a name in it, or with a syntax error.
///
/// # Errors
/// The text has such a name, or it was read to look for one and is not JSON.
pub(super) fn refuse(text: &[u8]) -> serde_json::Result<()> {
    if may_have_one(text) {
        serde_json::from_slice::<Checked>(text)?;
    }
    Ok(())
}

/// A quick look before the slow one. An escape may stand for any of the letters.
fn may_have_one(text: &[u8]) -> bool {
    [PREFIX.as_bytes(), b"\\u00"]
        .iter()
        .any(|part| memmem::find(text, part).is_some())
}

/// Any value without such names.
struct Checked;

/// The name of a member, which is none of them.
struct Name;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        if name.starts_with(PREFIX) {
            return Err(D::Error::custom(
                "the name of a member begins with \"$serde_json\", which is reserved",
            ));
        }
        Ok(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Checked, A::Error> {
        while list.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Checked, A::Error> {
        while object.next_entry::<Name, Checked>()?.is_some() {}
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::super::from_js;

    #[rstest]
    #[case::alone(r#"{"$serde_json::private::RawValue": "[1]"}"#)]
    #[case::within(r#"{"a": [{"b": {"$serde_json::private::RawValue": "[1]"}}]}"#)]
    #[case::not_first(r#"{"a": 1, "$serde_json::private::RawValue": "[1]"}"#)]
    #[case::of_numbers(r#"{"$serde_json::private::Number": "1"}"#)]
    #[case::escaped(r#"{"\u0024serde_json::private::RawValue": "[1]"}"#)]
    #[case::escaped_in_the_middle(r#"{"$serde_json::\u0070rivate::RawValue": "[1]"}"#)]
    fn a_reserved_name_is_refused(#[case] text: &str) {
        let error = from_js::<Value>(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("which is reserved at line 1"), "{error}");
    }

    #[rstest]
    #[case::as_a_value(r#"{"a": "$serde_json::private::RawValue"}"#)]
    #[case::another(
        r#"{"$serde_json": {"private::RawValue": "\u00e9", "x": [1, -1, 1.5, true, null]}}"#
    )]
    fn anything_else_is_read(#[case] text: &str) {
        let read: Value = from_js(text.as_bytes()).unwrap();
        assert_eq!(read, text.parse::<Value>().unwrap());
    }
}
