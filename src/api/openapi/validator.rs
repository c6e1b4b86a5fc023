//! Validates examples against the schemas that describe the API, for tests.

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::{Value, json};

/// Returns a validator of one of the document's schemas. Objects may only have the properties that
/// their schemas define. The components are those of [`closed_components`].
pub(super) fn validator(components: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    close(&mut schema);
    compile(components, schema).unwrap()
}

/// Compiles a schema with references into the components. Checks `format` and strings of JSON too.
fn compile(components: &Value, mut schema: Value) -> Result<Validator, ValidationError<'static>> {
    schema["components"] = components.clone();
    let components = components.clone();
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .with_keyword("contentSchema", move |_, schema, _: Location| {
            let schema = compile(&components, schema.clone())?;
            Ok(Box::new(ContentSchema(schema)))
        })
        .build(&schema)
}

/// Validates a string of JSON against the schema of its content.
struct ContentSchema(Validator);

impl<'i> Keyword<'i> for ContentSchema {
    fn validate(&self, text: &'i Value) -> Result<(), ValidationError<'i>> {
        let Some(text) = text.as_str() else {
            return Ok(());
        };
        let content = serde_json::from_str(text)
            .map_err(|error| ValidationError::custom(error.to_string()))?;
        let errors = errors(&self.0, &content);
        if errors.is_empty() {
            return Ok(());
        }
        Err(ValidationError::custom(errors.join("; ")))
    }

    fn is_valid(&self, text: &'i Value) -> bool {
        self.validate(text).is_ok()
    }
}

/// Returns the errors of a value, each with the path to where it is.
pub(super) fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Returns the document's components. References to their schemas are closed, not the schemas, to
/// which another schema may add properties.
pub(super) fn closed_components(document: &Value) -> Value {
    let mut components = document["components"].clone();
    for schema in components["schemas"].as_object_mut().unwrap().values_mut() {
        close_inside(schema);
    }
    components
}

/// Forbids properties that neither an object's schema nor its parts define.
fn close(schema: &mut Value) {
    close_inside(schema);
    let names_properties = ["$ref", "allOf", "anyOf", "oneOf", "properties"]
        .iter()
        .any(|keyword| schema.get(keyword).is_some());
    if names_properties {
        schema["unevaluatedProperties"] = json!(false);
    }
}

fn close_inside(schema: &mut Value) {
    for (keyword, inner) in schema.as_object_mut().into_iter().flatten() {
        match (keyword.as_str(), inner) {
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                parts.iter_mut().for_each(close_inside);
            }
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(close),
            ("additionalProperties" | "contentSchema" | "items", inner) => close(inner),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_does_not_fit_its_schema() {
        let document = json!({ "components": { "schemas": {
            "Named": { "required": ["id"], "properties": {
                "id": { "type": "string", "format": "uuid" },
                "at": { "type": ["string", "null"], "format": "date-time" },
                "next": { "$ref": "#/components/schemas/Counted" },
            } },
            "Counted": { "properties": { "count": { "type": "integer", "minimum": 1 } } },
            "Both": { "allOf": [
                { "$ref": "#/components/schemas/Named" },
                { "$ref": "#/components/schemas/Counted" },
            ] },
        } } });
        let both = json!({ "$ref": "#/components/schemas/Both" });
        let event = json!({ "properties": { "data": { "contentSchema": both.clone() } } });
        let components = closed_components(&document);
        let (both, event) = (
            validator(&components, &both),
            validator(&components, &event),
        );
        let of_event = |value: &Value| errors(&event, &json!({ "data": value.to_string() }));

        let right = json!({
            "id": "018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44",
            "at": null,
            "count": 1,
            "next": { "count": 2 },
        });
        assert_eq!(errors(&both, &right), [""; 0]);
        assert_eq!(of_event(&right), [""; 0]);
        for (name, value, error) in [
            ("id", json!("x"), r#"/id: "x" is not a "uuid""#),
            ("id", json!(null), r#"/id: null is not of type "string""#),
            ("at", json!("noon"), r#"/at: "noon" is not a "date-time""#),
            ("count", json!(0), "/count: 0 is less than the minimum of 1"),
            ("other", json!(1), "('other' was unexpected)"),
            ("next", json!({ "id": 1 }), "('id' was unexpected)"),
        ] {
            let mut wrong = right.clone();
            wrong[name] = value;
            let found = errors(&both, &wrong).join("; ");
            assert!(found.contains(error), "{wrong}: {found}");
            let found = of_event(&wrong).join("; ");
            assert!(found.contains(error), "{wrong}: {found}");
        }
        let found = errors(&both, &json!({ "count": 1 }));
        assert_eq!(found, [r#": "id" is a required property"#]);
    }
}
