//! The headers that many responses have.

use serde_json::{Value, json};

/// Every one of them, by its name.
pub(super) fn all() -> Value {
    json!({
        "X-Request-Id": {
            "description": "Names the request in the server's log: as the client sent it, where \
                that was sane",
            "required": true,
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" },
        },
        "Retry-After": {
            "description": "After how many seconds to try again",
            "schema": { "type": "integer", "minimum": 1 },
        },
    })
}

/// Gives a response one of them.
pub(super) fn add(response: &mut Value, name: &str) {
    response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
}

/// Gives every response of the description the header that all have.
pub(super) fn add_request_id(document: &mut Value) {
    let Value::Object(document) = document else {
        return;
    };
    let shared = document
        .get_mut("components")
        .and_then(|components| components.get_mut("responses"));
    for response in shared.into_iter().flat_map(members) {
        add(response, "X-Request-Id");
    }
    let paths = document.get_mut("paths").into_iter().flat_map(members);
    for operation in paths.flat_map(members) {
        let responses = operation.get_mut("responses").into_iter();
        for response in responses.flat_map(members) {
            if response.get("$ref").is_none() {
                add(response, "X-Request-Id");
            }
        }
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    let members = value.as_object_mut().into_iter();
    members.flat_map(|members| members.values_mut())
}
