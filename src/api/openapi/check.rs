//! Holds values against the schemas of the description: those that are used in it, and no others.

use std::collections::BTreeMap;

use serde_json::Value;

/// What says nothing of a value's form.
const WORDS: [&str; 5] = ["$ref", "description", "example", "title", "pattern"];

/// What is wrong with a value by its schema, in words. What a schema with properties does not name
/// is wrong too.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut check = Check {
        document,
        faults: Vec::new(),
    };
    check.value(schema, value, "", true);
    check.faults
}

struct Check<'a> {
    document: &'a Value,
    faults: Vec<String>,
}

impl<'a> Check<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value, at: &str, is_strict: bool) {
        let parts = self.parts(schema);
        for (keyword, rule) in parts.iter().filter_map(|part| part.as_object()).flatten() {
            self.keyword(keyword, rule, value, at);
        }
        let own = |part: &&'a Value| part["properties"].as_object();
        let properties: BTreeMap<_, _> = parts.iter().filter_map(own).flatten().collect();
        for options in parts
            .iter()
            .flat_map(|part| [&part["anyOf"], &part["oneOf"]])
        {
            self.options(options, value, at, properties.is_empty() && is_strict);
        }
        let has_more = |part: &&Value| part.get("additionalProperties").is_some();
        let is_open = !is_strict || properties.is_empty() || parts.iter().any(has_more);
        for (name, value) in value.as_object().into_iter().flatten() {
            match properties.get(name) {
                Some(schema) => self.value(schema, value, &format!("{at}.{name}"), true),
                None if is_open => {}
                None => self.faults.push(format!("{at}.{name} is not described")),
            }
        }
    }

    /// The schema and all that it refers to or is put together of.
    fn parts(&self, schema: &'a Value) -> Vec<&'a Value> {
        let mut parts = vec![schema];
        if let Some(reference) = schema["$ref"].as_str() {
            let found = self.document.pointer(&reference[1..]);
            parts.extend(self.parts(found.expect("a reference leads somewhere")));
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            parts.extend(self.parts(part));
        }
        parts
    }

    fn options(&mut self, options: &'a Value, value: &Value, at: &str, is_strict: bool) {
        let Some(options) = options.as_array() else {
            return;
        };
        let tried = options.iter().map(|option| {
            let mut check = Check {
                document: self.document,
                faults: Vec::new(),
            };
            check.value(option, value, at, is_strict);
            check.faults
        });
        let tried: Vec<_> = tried.collect();
        if !tried.iter().any(Vec::is_empty) {
            self.faults.push(format!("{at} fits no option: {tried:?}"));
        }
    }

    fn keyword(&mut self, keyword: &str, rule: &'a Value, value: &Value, at: &str) {
        let fits = match keyword {
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
                kind => is_a(kind, value),
            },
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "required" => rule.as_array().unwrap().iter().all(|name| {
                let name = name.as_str().unwrap();
                value.as_object().is_none_or(|it| it.contains_key(name))
            }),
            "minimum" => value.as_f64().is_none_or(|it| it >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|it| !it.is_empty()),
            "format" => value.as_str().is_none_or(|text| is_of_format(rule, text)),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.value(rule, item, &format!("{at}[{index}]"), true);
                }
                true
            }
            "contentSchema" => {
                let data: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
                self.value(rule, &data, &format!("{at}:"), true);
                true
            }
            "maxItems"
            | "maxLength"
            | "contentMediaType"
            | "additionalProperties"
            | "properties"
            | "allOf"
            | "anyOf"
            | "oneOf" => true,
            word if WORDS.contains(&word) => true,
            other => panic!("{at}: {other} is not known here"),
        };
        if !fits {
            self.faults
                .push(format!("{at} is {value}, which is not of {keyword} {rule}"));
        }
    }
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        other => panic!("{other} is no type"),
    }
}

fn is_of_format(format: &Value, text: &str) -> bool {
    match format.as_str().unwrap() {
        "uuid" => crate::domain::id::parse_uuid(text).is_some(),
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_found() {
        let document = json!({ "schemas": {
            "One": { "type": "object", "required": ["a"], "properties": {
                "a": { "type": "integer", "minimum": 1 },
            } },
            "Two": { "allOf": [
                { "$ref": "#/schemas/One" },
                { "type": "object", "properties": { "b": { "type": ["string", "null"], "format": "uuid" } } },
            ] },
        } });
        let schema = json!({ "$ref": "#/schemas/Two" });
        let count = |value| faults(&document, &schema, &value).len();
        assert_eq!(count(json!({ "a": 1, "b": null })), 0);
        for wrong in [
            json!({}),
            json!({ "a": 0 }),
            json!({ "a": "1" }),
            json!({ "a": 1, "b": "x" }),
            json!({ "a": 1, "c": 2 }),
        ] {
            assert_eq!(count(wrong.clone()), 1, "{wrong}");
        }
    }
}
