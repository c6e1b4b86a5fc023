//! Stored JSON, which is passed on without parsing.

use serde_json::value::RawValue;

/// Returns stored JSON unchanged, or `None` if it is damaged.
#[must_use]
pub fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// Returns a stored object as [`raw`] does, or an empty object.
#[must_use]
pub fn raw_object(text: &str) -> &RawValue {
    raw(text).or_else(|| raw("{}")).unwrap_or(RawValue::NULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_json_is_passed_on_unchanged() {
        let text = r#"{"b": [1.50, "\u0041"],  "a":null}"#;
        assert_eq!(serde_json::to_string(&raw_object(text)).unwrap(), text);
        assert_eq!(serde_json::to_string(&raw_object("")).unwrap(), "{}");
        assert!(raw("{").is_none());
    }
}
