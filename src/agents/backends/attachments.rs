//! The attachments of an agent's answer.

use serde_json::{Map, Value};

use crate::domain::message::{MAX_ATTACHMENTS, MAX_ATTACHMENTS_BYTES};
use crate::json::{self, kind};

/// The type of an attachment that has none.
const UNKNOWN_TYPE: &str = "file";

/// Other names for the type: of `ElizaOS`'s `Media`, and of other programs.
const TYPES: [&str; 2] = ["contentType", "mimeType"];

/// The attachments of an answer that can be stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attachments {
    /// The text of a JSON array; `None` without attachments.
    pub(crate) text: Option<String>,
    /// The number of dropped attachments.
    pub(crate) dropped: usize,
    /// Why the first of those was dropped.
    pub(crate) reason: Option<String>,
}

impl Attachments {
    /// Reads attachments in the API's format, `{type, url, name?, …}`, or in that of `ElizaOS`'s
    /// `Media`, `{id, url, title?, contentType?, …}`. Those that cannot be stored are dropped.
    pub(crate) fn read(value: Option<Value>) -> Self {
        let mut read = Self::default();
        let list = match value {
            None | Some(Value::Null) => return read,
            Some(Value::Array(list)) => list,
            Some(other) => {
                read.drop(format!(
                    "attachments must be an array, not {}",
                    kind(&other)
                ));
                return read;
            }
        };
        let mut stored = Vec::new();
        // The brackets.
        let mut bytes = 2;
        for (index, attachment) in list.into_iter().enumerate() {
            match text_of(attachment, stored.len(), bytes) {
                Ok(text) => {
                    bytes += text.len() + 1;
                    stored.push(text);
                }
                Err(reason) => read.drop(format!("attachments[{index}]{reason}")),
            }
        }
        read.text = (!stored.is_empty()).then(|| format!("[{}]", stored.join(",")));
        read
    }

    fn drop(&mut self, reason: String) {
        self.dropped += 1;
        self.reason.get_or_insert(reason);
    }
}

/// Returns the text of an attachment, if the limits allow it beside `others` with so many bytes.
fn text_of(attachment: Value, others: usize, bytes: usize) -> Result<String, String> {
    let Value::Object(fields) = attachment else {
        return Err(format!(" must be an object, not {}", kind(&attachment)));
    };
    if !has_text(&fields, "url") {
        return Err(".url must be a non-empty string".into());
    }
    if others == MAX_ATTACHMENTS {
        return Err(format!(" is more than the {MAX_ATTACHMENTS} of a message"));
    }
    let text = json::text(&in_api_format(fields));
    if bytes + text.len() > MAX_ATTACHMENTS_BYTES {
        return Err(format!(
            " is too long: a message has at most {MAX_ATTACHMENTS_BYTES} bytes of them"
        ));
    }
    Ok(text)
}

/// Renames the fields that `Media` calls otherwise.
fn in_api_format(mut fields: Map<String, Value>) -> Map<String, Value> {
    if !has_text(&fields, "type") {
        let named = TYPES.into_iter().find(|name| has_text(&fields, name));
        let found = named.and_then(|name| fields.shift_remove(name));
        let found = found.unwrap_or_else(|| UNKNOWN_TYPE.into());
        fields.insert("type".into(), found);
    }
    if !has_text(&fields, "name") && has_text(&fields, "title") {
        let title = fields.shift_remove("title").unwrap_or_default();
        fields.insert("name".into(), title);
    }
    fields
}

fn has_text(fields: &Map<String, Value>, name: &str) -> bool {
    let text = fields.get(name).and_then(Value::as_str);
    text.is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::message_json::attachments;

    fn read(value: Value) -> (Value, usize, String) {
        let read = Attachments::read(Some(value));
        let text = read.text.as_deref().unwrap_or("null");
        let stored: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            attachments(stored.clone().into()).unwrap(),
            read.text,
            "a message may have them"
        );
        (stored, read.dropped, read.reason.unwrap_or_default())
    }

    #[rstest]
    #[case::api(
        json!({ "type": "image", "url": "u", "name": "n", "size": 7 }),
        json!({ "type": "image", "url": "u", "name": "n", "size": 7 })
    )]
    #[case::media(
        json!({ "id": "1", "url": "u", "title": "A cat", "contentType": "image" }),
        json!({ "id": "1", "url": "u", "type": "image", "name": "A cat" })
    )]
    #[case::mime_type(
        json!({ "url": "u", "mimeType": "image/png" }),
        json!({ "url": "u", "type": "image/png" })
    )]
    #[case::both_formats(
        json!({ "type": "image", "contentType": "x", "url": "u", "name": "n", "title": "t" }),
        json!({ "type": "image", "contentType": "x", "url": "u", "name": "n", "title": "t" })
    )]
    #[case::no_type(json!({ "url": "u" }), json!({ "url": "u", "type": "file" }))]
    #[case::invalid_types(
        json!({ "url": "u", "type": 7, "contentType": "", "mimeType": null, "title": null }),
        json!({ "url": "u", "type": "file", "contentType": "", "mimeType": null, "title": null })
    )]
    fn an_attachment_is_stored_in_the_format_of_the_api(
        #[case] given: Value,
        #[case] expected: Value,
    ) {
        assert_eq!(read(json!([given])), (json!([expected]), 0, String::new()));
    }

    #[rstest]
    #[case::without_url(json!({ "type": "image" }), "attachments[1].url must be a non-empty string")]
    #[case::empty_url(json!({ "url": "" }), "attachments[1].url must be a non-empty string")]
    #[case::not_an_object(json!("u"), "attachments[1] must be an object, not a string")]
    #[case::too_long(
        json!({ "url": "u".repeat(16_384) }),
        "attachments[1] is too long: a message has at most 16384 bytes of them"
    )]
    fn one_that_cannot_be_stored_is_dropped_with_a_reason(
        #[case] wrong: Value,
        #[case] said: &str,
    ) {
        let good = |url: &str| json!({ "url": url, "type": "file" });
        let given = json!([good("a"), wrong, good("b")]);
        let expected = json!([good("a"), good("b")]);
        assert_eq!(read(given), (expected, 1, said.to_owned()));
    }

    #[test]
    fn the_first_ten_that_fit_are_stored() {
        let many: Vec<_> = (0..13).map(|n| json!({ "url": n.to_string() })).collect();
        let (stored, dropped, said) = read(json!(many));
        assert_eq!(stored.as_array().unwrap().len(), 10);
        assert_eq!(dropped, 3);
        assert_eq!(said, "attachments[10] is more than the 10 of a message");

        // Three of 5,000 bytes fit, and a small one after a fourth.
        let long = || json!({ "url": "u".repeat(5000) });
        let (stored, dropped, said) = read(json!([long(), long(), long(), long(), { "url": "x" }]));
        assert_eq!(stored.as_array().unwrap().len(), 4);
        assert_eq!(dropped, 1);
        assert!(said.starts_with("attachments[3] is too long"), "{said}");
    }

    #[test]
    fn other_values_than_arrays_are_dropped_and_null_is_ignored() {
        let said = "attachments must be an array, not an object";
        assert_eq!(read(json!({})), (Value::Null, 1, said.to_owned()));
        for nothing in [None, Some(Value::Null), Some(json!([]))] {
            assert_eq!(Attachments::read(nothing), Attachments::default());
        }
    }
}
