//! An object's members as they stand in a text.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::JsString;

/// The members of an object as they stand in a text, so that what is wrong with one of them can be
/// told with its line. Of two members of one name the last one counts, as in `JSON.parse`.
///
/// A member's own text is checked for its syntax only: numbers, depth and unpaired surrogates are
/// those of whoever parses it. In names, U+FFFD stands for an unpaired surrogate.
#[derive(Debug, Default)]
pub struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The text of a member. Null is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter();
        members
            .find(|(found, _)| found == name)
            .map(|(_, text)| *text)
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, text)| (name.as_str(), *text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, text)) = map.next_entry::<JsString, _>()? {
                    members.push((name.to_text(), text));
                }
                Ok(Members(last_of_each(members)))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

fn last_of_each<T>(mut members: Vec<(String, T)>) -> Vec<(String, T)> {
    let mut seen = HashSet::new();
    members.reverse();
    members.retain(|(name, _)| seen.insert(name.clone()));
    members.reverse();
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_of_a_name_counts() {
        let text = r#"{"a": 1, "b": [2], "\u0061": {"x": 3}, "c": null}"#;
        let members: Members<'_> = serde_json::from_str(text).unwrap();
        let shown: Vec<_> = members
            .iter()
            .map(|(name, text)| (name, text.get()))
            .collect();
        assert_eq!(shown, [("b", "[2]"), ("a", r#"{"x": 3}"#), ("c", "null")]);
        assert_eq!(members.get("a").map(RawValue::get), Some(r#"{"x": 3}"#));
        assert!(members.get("d").is_none());
    }

    #[test]
    fn half_a_character_in_an_odd_member_fails_no_other() {
        let text = r#"{"\ud83c": "\udf89", "a": 1e999}"#;
        let members: Members<'_> = serde_json::from_str(text).unwrap();
        let odd = members.get("\u{fffd}").map(RawValue::get);
        assert_eq!(odd, Some(r#""\udf89""#));
        assert_eq!(members.get("a").map(RawValue::get), Some("1e999"));
    }

    #[test]
    fn many_members_are_read_in_time() {
        let many: Vec<_> = (0..200_000).map(|name| format!("\"{name}\":0")).collect();
        let text = format!("{{{}}}", many.join(","));
        let members: Members<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(members.iter().count(), 200_000);
    }
}
