//! The members of an object as they were sent.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::string::JsString;

/// The members of an object as they were sent, so that an error can give a position in the text. Of
/// members with the same name the last one counts, as in `JSON.parse`.
///
/// Only the syntax of their texts is checked, not the range of numbers, the depth, or unpaired
/// surrogates. In names, U+FFFD replaces an unpaired surrogate.
#[derive(Debug, Default)]
pub struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Returns the text of a member, which may be null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut members = self.0.iter();
        members
            .find(|(found, _)| found == name)
            .map(|(_, text)| *text)
    }

    /// Returns the members in the order of the text.
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
    fn an_unpaired_surrogate_in_one_member_does_not_affect_others() {
        let text = r#"{"\ud83c": "\udf89", "a": 1e999}"#;
        let members: Members<'_> = serde_json::from_str(text).unwrap();
        let odd = members.get("\u{fffd}").map(RawValue::get);
        assert_eq!(odd, Some(r#""\udf89""#));
        assert_eq!(members.get("a").map(RawValue::get), Some("1e999"));
    }

    #[test]
    fn many_members_are_parsed_in_linear_time() {
        let many: Vec<_> = (0..200_000).map(|name| format!("\"{name}\":0")).collect();
        let text = format!("{{{}}}", many.join(","));
        let members: Members<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(members.iter().count(), 200_000);
    }
}
