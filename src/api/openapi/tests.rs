use std::collections::BTreeSet;

use super::validator::{closed_components, errors, validator};
use super::*;
use crate::api::{endpoints, router};

fn document() -> Value {
    let (_, description) = router::routes().router.split_for_parts();
    super::document(&description)
}

/// Pages, their files and the description itself, which are not part of the API.
const NOT_DESCRIBED: [&str; 8] = [
    "/",
    "/docs",
    "/console/{file}",
    "/openapi.json",
    "/client.js",
    "/client.d.ts",
    "/chat-transport.js",
    "/chat-transport.d.ts",
];

#[test]
fn every_endpoint_is_described_and_every_described_endpoint_exists() {
    let document = document();
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        })
        .collect();
    let served: BTreeSet<_> = endpoints()
        .iter()
        .filter(|endpoint| !NOT_DESCRIBED.contains(&&*endpoint.path))
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    assert_eq!(described, served);
}

/// The titles of ElizaOS's reference pages, or new ids. Generated clients use them as names of
/// functions, so changing an id breaks clients.
const OPERATIONS: [&str; 36] = [
    "backupDatabase",
    "cancelSessionTurns",
    "createSession",
    "deleteSession",
    "deleteUserSessions",
    "exportSessions",
    "importSessions",
    "getAgent",
    "getAgentEvents",
    "listAgentStates",
    "probeAgent",
    "getLog",
    "listAgentTurns",
    "getChannelMessages",
    "getCurrentPrincipal",
    "getHealth",
    "getLiveness",
    "getMetrics",
    "getMetricsHistory",
    "getSession",
    "getSessionEvents",
    "getSessionMessages",
    "getSessionsHealth",
    "getSettings",
    "getStorage",
    "listAgents",
    "listSessions",
    "renewSession",
    "searchMessages",
    "sendSessionMessage",
    "sessionHeartbeat",
    "streamSessionMessage",
    "submitMessage",
    "updateSession",
    "updateSessionTimeout",
    "verifyStorage",
];

/// Built-in classes and types of JavaScript, TypeScript, browsers or Python.
const GLOBALS: [&str; 28] = [
    "Any",
    "Array",
    "Blob",
    "Boolean",
    "Date",
    "Error",
    "ErrorEvent",
    "Event",
    "Exception",
    "File",
    "Function",
    "Headers",
    "Iterator",
    "List",
    "Literal",
    "Map",
    "MessageEvent",
    "Number",
    "Object",
    "Promise",
    "Record",
    "Request",
    "Response",
    "Set",
    "State",
    "String",
    "Symbol",
    "Union",
];

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().unwrap().values();
    paths.flat_map(|path| path.as_object().unwrap().values())
}

#[test]
fn operations_have_the_documented_ids() {
    let document = document();
    let ids: BTreeSet<_> = operations(&document)
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, BTreeSet::from(OPERATIONS));
}

#[test]
fn no_schema_is_named_like_a_global() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in GLOBALS {
        assert!(!schemas.contains_key(name), "{name}");
    }
}

#[test]
fn request_bodies_have_no_alternatives() {
    let document = document();
    for operation in operations(&document) {
        let Some(body) = operation.get("requestBody") else {
            continue;
        };
        let schema = &body["content"]["application/json"]["schema"];
        let Some(reference) = schema["$ref"].as_str() else {
            let lines = &body["content"]["application/x-ndjson"]["schema"];
            assert_eq!(lines["type"], "string", "{operation}");
            continue;
        };
        let schema = document.pointer(&reference[1..]).unwrap();
        for choice in ["allOf", "anyOf", "oneOf"] {
            assert_eq!(schema.get(choice), None, "{reference}");
        }
    }
}

#[test]
fn each_event_of_a_stream_has_its_own_schema() {
    let document = document();
    for stream in ["AgentStreamEvent", "ReplyStreamEvent", "SessionStreamEvent"] {
        let options = &document["components"]["schemas"][stream]["oneOf"];
        for option in options.as_array().unwrap() {
            let reference = option["$ref"].as_str().expect(stream);
            let event = document.pointer(&reference[1..]).unwrap();
            let payload = event["properties"]["data"]["contentSchema"]["$ref"].as_str();
            assert!(payload.is_some(), "{reference}");
        }
    }
}

#[test]
fn only_one_of_the_two_sends_returns_a_stream() {
    let document = document();
    let paths = &document["paths"];
    let streaming = paths.as_object().unwrap().keys().filter(|path| {
        let responses = paths[*path]["post"]["responses"].as_object();
        let mut responses = responses.into_iter().flatten();
        responses.any(|(_, response)| response["content"].get("text/event-stream").is_some())
    });
    let streaming: Vec<_> = streaming.collect();
    assert_eq!(
        streaming,
        ["/api/messaging/sessions/{sessionId}/messages/stream"]
    );
}

#[test]
fn any_json_value_is_the_empty_schema() {
    let document = document();
    let name = &document["components"]["schemas"]["Attachment"]["properties"]["name"];
    for keyword in ["type", "enum", "anyOf", "oneOf"] {
        assert_eq!(name.get(keyword), None);
    }
    let text = document.to_string();
    assert!(!text.contains(r#""type":["array","boolean""#));
}

#[test]
fn the_description_matches_its_snapshot() {
    let text = serde_json::to_string_pretty(&document()).unwrap();
    insta::assert_snapshot!("openapi", text);
}

#[test]
fn every_reference_resolves_and_every_component_is_referenced() {
    let document = document();
    let text = document.to_string();
    let references = text.split("\"$ref\":\"").skip(1);
    let references: BTreeSet<_> = references
        .map(|reference| reference.split_once('"').unwrap().0)
        .collect();
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for kind in ["schemas", "responses", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&*reference), "{reference}");
        }
    }
}

/// Returns the media of request bodies and responses, by the names of their owners.
fn media(document: &Value) -> Vec<(String, &Value)> {
    let of_calls = operations(document).flat_map(|operation| {
        let responses = operation["responses"].as_object().unwrap().iter();
        let responses = responses.map(|(status, response)| (status.as_str(), response));
        let body = operation.get("requestBody").map(|body| ("body", body));
        let id = &operation["operationId"];
        let parts = responses.chain(body);
        parts.map(move |(name, part)| (format!("{id} {name}"), part))
    });
    let shared = document["components"]["responses"].as_object().unwrap();
    let shared = shared.iter().map(|(name, it)| (name.clone(), it));
    let media = of_calls.chain(shared).flat_map(|(name, part)| {
        let content = part["content"].as_object().into_iter().flatten();
        content.map(move |(kind, media)| (format!("{name} {kind}"), media))
    });
    media.collect()
}

#[test]
fn every_json_response_has_an_example_and_every_example_fits_its_schema() {
    let document = document();
    let components = closed_components(&document);
    for (name, media) in media(&document) {
        let named = media["examples"].as_object().into_iter().flatten();
        let named = named.map(|(_, example)| &example["value"]);
        let examples: Vec<_> = named.chain(media.get("example")).collect();
        let is_shown = ["application/json", "text/event-stream"]
            .iter()
            .any(|kind| name.ends_with(kind));
        let is_answer = !name.contains(" body ");
        assert!(!(is_shown && is_answer && examples.is_empty()), "{name}");
        let validator = validator(&components, &media["schema"]);
        for example in examples {
            assert_eq!(errors(&validator, example), [""; 0], "{name}: {example}");
        }
    }
}
