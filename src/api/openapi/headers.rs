//! Response headers that many responses have.

use serde_json::{Map, Value, json};

pub(super) fn all() -> Value {
    json!({
        "X-Request-Id": {
            "description": "The id of the request in the log: the client's, if it is valid",
            "required": true,
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$" },
        },
        "Retry-After": {
            "description": "In how many seconds to retry",
            "schema": { "type": "integer", "minimum": 1 },
        },
    })
}

pub(super) fn add(response: &mut Value, name: &str) {
    response["headers"][name] = json!({ "$ref": format!("#/components/headers/{name}") });
}

/// Adds `X-Request-Id` to every response of the description.
pub(super) fn add_request_id(document: &mut Value) {
    for response in members(&mut document["components"]["responses"]) {
        add(response, "X-Request-Id");
    }
    for operation in members(&mut document["paths"]).flat_map(members) {
        for response in members(&mut operation["responses"]) {
            if response.get("$ref").is_none() {
                add(response, "X-Request-Id");
            }
        }
    }
}

pub(super) fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut)
}
