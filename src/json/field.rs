//! Fields of requests that are validated one by one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::value::kind;
use crate::domain::number;

/// A field of a client's object. A struct of these can be deserialized whatever is wrong in it, so
/// that its fields can be validated in any order, each with its own error.
///
/// Fields need `#[serde(default)]`. Use a `Field` of a map for a nested object: a struct that
/// derives `Deserialize` would accept an array, too.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Field<T> {
    /// The field is absent.
    #[default]
    Absent,
    /// The field is null.
    Null,
    /// The field has the right type.
    Value(T),
    /// The field has this JSON type instead.
    Wrong(&'static str),
}

/// JavaScript's `Number()` of a number or a string, truncated; `None` if that is not finite, or the
/// string is blank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JsNumber(pub Option<f64>);

impl<T> Field<T> {
    /// Returns this field, or `other` if this one is absent.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Absent => other,
            given => given,
        }
    }

    /// Returns the value; `None` if the field is absent or null.
    ///
    /// # Errors
    /// The JSON type of the field, if that is a wrong one.
    pub fn given(self) -> Result<Option<T>, &'static str> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Value(value) => Ok(Some(value)),
            Self::Wrong(found) => Err(found),
        }
    }
}

impl Field<String> {
    /// Returns whether it is absent, null or an empty string.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Absent | Self::Null => true,
            Self::Value(text) => text.is_empty(),
            Self::Wrong(_) => false,
        }
    }
}

impl<T: DeserializeOwned> From<Value> for Field<T> {
    fn from(value: Value) -> Self {
        if value.is_null() {
            return Self::Null;
        }
        let found = kind(&value);
        serde_json::from_value(value).map_or(Self::Wrong(found), Self::Value)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for JsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Sent {
            Number(f64),
            Text(String),
        }
        let number = match Sent::deserialize(deserializer)? {
            Sent::Number(number) => number,
            Sent::Text(text) if number::is_blank(&text) => return Ok(Self(None)),
            Sent::Text(text) => number::from_text(&text),
        };
        Ok(Self(number.is_finite().then(|| number.trunc())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Fields {
        text: Field<String>,
        flag: Field<bool>,
        number: Field<JsNumber>,
        list: Field<Vec<Value>>,
    }

    fn read(text: &str) -> Fields {
        super::super::from_js(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_wrong_field_does_not_affect_others() {
        let expected = Fields {
            text: Field::Wrong("an array"),
            flag: Field::Null,
            number: Field::Value(JsNumber(Some(12.0))),
            list: Field::Absent,
        };
        assert_eq!(
            read(r#"{"flag": null, "text": [], "number": " 12.9 ", "x": {}}"#),
            expected
        );
    }

    #[test]
    fn an_alternative_counts_if_the_field_is_absent() {
        let value = || Field::Value("b".to_owned());
        assert_eq!(Field::Absent.or(value()), value());
        assert_eq!(Field::Null.or(value()), Field::Null);
        assert_eq!(
            Field::Wrong("a number").or(value()),
            Field::Wrong("a number")
        );
        assert_eq!(value().or(Field::Null), value());
    }

    #[test]
    fn a_value_that_is_not_a_finite_number_is_none() {
        for text in [r#""abc""#, r#""""#, r#"" ""#, r#""1e999""#, r#""NaN""#] {
            let fields = read(&format!(r#"{{"number": {text}}}"#));
            assert_eq!(fields.number, Field::Value(JsNumber(None)), "{text}");
        }
    }
}
