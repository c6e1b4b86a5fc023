//! Names that have a special meaning to `serde_json`.
//!
//! Its `Value` parses `{"$serde_json::private::RawValue": "[1]"}` as `[1]`: a string becomes part
//! of the document. A client could use that to nest values deeper than the limit, and to store
//! values that cannot be read again. Such names have no other use, so they are refused.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The prefix of these names.
const PREFIX: &str = "$serde_json::private::";

/// Refuses a text in which a member's name begins with `$serde_json::private::`.
///
/// # Errors
/// The text has such a name, or may have one and is not JSON.
pub fn refuse_reserved_names(text: &[u8]) -> serde_json::Result<()> {
    // An escape may encode any letter of the name.
    let marks: [&[u8]; 2] = [PREFIX.as_bytes(), b"\\u00"];
    if marks.iter().any(|mark| memmem::find(text, mark).is_some()) {
        serde_json::from_slice::<Checked>(text)?;
    }
    Ok(())
}

/// Any value without reserved names.
struct Checked;

/// A member's name that is not reserved.
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
                "the name of a member begins with \"$serde_json::private::\", which is reserved",
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
    #[case::at_the_top(r#"{"$serde_json::private::RawValue": "[1]"}"#)]
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
