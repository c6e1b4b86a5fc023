//! The texts in an object.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Returns the strings among the values of an object, not those further inside. Text that is not a
/// JSON object has none.
#[must_use]
pub fn texts(object: &str) -> Vec<Cow<'_, str>> {
    serde_json::from_str::<Texts<'_>>(object).map_or_else(|_| Vec::new(), |texts| texts.0)
}

struct Texts<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some((_, value)) = map.next_entry::<IgnoredAny, &RawValue>()? {
                    texts.extend(text(value.get()));
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// Returns the text of a JSON string.
fn text(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(value).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strings_of_the_object_itself_are_returned() {
        let object = r#"{"title": "A \"plan\"", "n": 1, "in": {"a": "x"}, "l": ["y"],
            "empty": "", "b": "π", "no": null}"#;
        assert_eq!(texts(object), ["A \"plan\"", "", "π"]);
        for other in ["{}", "[\"a\"]", "\"a\"", "null", "", "{"] {
            assert!(texts(other).is_empty(), "{other}");
        }
    }
}
