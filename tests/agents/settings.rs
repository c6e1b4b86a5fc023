//! `settings.backend` of character files, and the errors of invalid ones.

use serde_json::json;

use crate::harness::{Builder, Server};

fn with(text: &str) -> Builder {
    Server::builder().character_text("ada.json", text)
}

#[tokio::test]
async fn an_invalid_backend_stops_the_start_with_its_line() {
    let file = |backend: &str| {
        format!("{{\"name\": \"Ada\",\n\"settings\": {{\n\"backend\": {backend}}}}}")
    };
    for (backend, line, reason) in [
        (
            r#"{"type": "gpt"}"#,
            3,
            "expected one of eliza, openai, webhook, elizaos, external, found \"gpt\"",
        ),
        (
            "{}",
            3,
            "settings.backend.type is missing; it names the backend",
        ),
        (
            r#"["eliza"]"#,
            3,
            "invalid settings.backend: expected an object",
        ),
        (
            r#"{"type": "openai"}"#,
            3,
            "settings.backend.baseUrl is missing; a backend of type openai needs it",
        ),
        (
            "{\"type\": \"openai\",\n\"baseUrl\": 7}",
            4,
            "invalid settings.backend.baseUrl: expected a string, found 7",
        ),
        (
            r#"{"type": "openai", "baseUrl": "localhost:11434"}"#,
            3,
            "begins with http",
        ),
        (
            r#"{"type": "webhook"}"#,
            3,
            "settings.backend.url is missing",
        ),
        (
            r#"{"type": "webhook", "url": "/hook"}"#,
            3,
            "begins with http",
        ),
        (
            r#"{"type": "openai", "baseUrl": "https://user:TOPSECRET@h/v1"}"#,
            3,
            "baseUrl has user information (USER:PASSWORD@); expected an address without it: put \
             the key into a variable, and name the variable with apiKeyEnv",
        ),
        (
            r#"{"type": "elizaos", "baseUrl": "https://TOPSECRET@h"}"#,
            3,
            "name the variable with apiKeyEnv",
        ),
        (
            r#"{"type": "webhook", "url": "https://user:TOPSECRET@h"}"#,
            3,
            "signs the calls with secretEnv",
        ),
        (
            r#"{"type": "elizaos", "baseUrl": "http://h", "agentId": "x"}"#,
            3,
            "expected a UUID, found \"x\"",
        ),
        (
            r#"{"type": "elizaos", "baseUrl": "http://h", "transport": "x"}"#,
            3,
            "invalid settings.backend.transport: expected \"sse\" or \"http\", found \"x\"",
        ),
        (
            r#"{"type": "openai", "baseUrl": "http://h", "apiKeyEnv": "ADA_KEY"}"#,
            3,
            "names the variable ADA_KEY, which is not set",
        ),
        (
            r#"{"type": "webhook", "url": "http://h", "secretEnv": "ADA_KEY"}"#,
            3,
            "names the variable ADA_KEY, which is not set",
        ),
        (
            r#"{"type": "openai", "baseUrl": "http://h", "apiKeyEnv": "sk-TOPSECRET"}"#,
            3,
            "the name of a variable",
        ),
    ] {
        let error = with(&file(backend)).start_error().await;
        assert!(
            error.contains(&format!("ada.json:{line}: ")),
            "{backend}: {error}"
        );
        assert!(error.contains(reason), "{backend}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
}

/// Returns the error of a file whose third line has these fields of a backend.
async fn error_of(kind: &str, fields: &str) -> String {
    let address = match kind {
        "openai" | "elizaos" => r#""baseUrl": "http://h","#,
        "webhook" => r#""url": "http://h","#,
        _ => "",
    };
    let backend = format!("{{\n\"type\": \"{kind}\", {address}\n{fields}}}");
    let file = format!("{{\"name\": \"Ada\", \"settings\": {{\"backend\": {backend}}}}}");
    let error = with(&file).start_error().await;
    assert!(error.contains("ada.json:3: "), "{fields}: {error}");
    error
}

#[tokio::test]
async fn an_invalid_number_is_reported_with_its_bounds() {
    for (field, expected) in [
        ("timeoutSeconds", "an integer from 1 to 1209600"),
        ("maxConcurrency", "an integer from 1 to 1000000"),
        ("historyMessages", "an integer from 0 to 1000"),
        ("temperature", "a number from 0 to 2"),
        ("maxTokens", "an integer from 1 to 1000000"),
        ("maxCompletionTokens", "an integer from 1 to 1000000"),
        ("contextTokens", "an integer from 1 to 100000000"),
    ] {
        let fractions = if field == "temperature" { "99" } else { "1.5" };
        for (value, found) in [
            ("-1", "-1"),
            (fractions, fractions),
            ("4294967297", "4294967297"),
            (r#""30""#, r#""30""#),
            ("true", "true"),
            ("[1]", "an array"),
            (r#"{"a": "sk-TOPSECRET"}"#, "an object"),
        ] {
            let error = error_of("openai", &format!("\"{field}\": {value}")).await;
            let said =
                format!("invalid settings.backend.{field}: expected {expected}, found {found}");
            assert!(error.contains(&said), "{value}: {error}");
        }
    }
    for field in ["timeoutSeconds", "maxConcurrency"] {
        let error = error_of("eliza", &format!("\"{field}\": 0")).await;
        assert!(
            error.contains(&format!("{field}: expected an integer from 1 to")),
            "{error}"
        );
    }
    let error = error_of("openai", "\"maxTokens\": 0").await;
    assert!(
        error.contains("maxTokens: expected an integer from 1 to"),
        "{error}"
    );
}

#[tokio::test]
async fn errors_of_headers_and_fields_do_not_repeat_values() {
    for (fields, said) in [
        (
            r#""headers": "TOPSECRET""#,
            "invalid settings.backend.headers: expected an object of strings such as",
        ),
        (r#""headers": 7"#, "found a number"),
        (r#""headers": ["TOPSECRET"]"#, "found an array"),
        (
            r#""headers": {"X-Title": {"a": "TOPSECRET"}}"#,
            "invalid settings.backend.headers: expected a string as X-Title, found an object",
        ),
        (
            r#""headers": {"x y": "TOPSECRET"}"#,
            "invalid settings.backend.headers: expected names of letters, digits and",
        ),
        (r#""headers": {"": "TOPSECRET"}"#, "found \"\""),
        (
            r#""headers": {"X-Title": "TOPSECRET\r\nx: y"}"#,
            "invalid settings.backend.headers: expected visible ASCII as X-Title",
        ),
        (
            r#""headers": {"X-Title": "a", "x-title": "TOPSECRET"}"#,
            "invalid settings.backend.headers: x-title is set twice (header names ignore case)",
        ),
        (
            r#""headers": {"HOST": "TOPSECRET"}"#,
            "invalid settings.backend.headers: sessiond sets HOST where it is needed; remove it",
        ),
        (
            r#""headers": {"Transfer-Encoding": "TOPSECRET"}"#,
            "invalid settings.backend.headers: sessiond sets Transfer-Encoding",
        ),
        (
            r#""extraBody": ["TOPSECRET"]"#,
            "invalid settings.backend.extraBody: expected an object such as",
        ),
        (
            r#""vision": "no""#,
            "invalid settings.backend.vision: expected true or false, found \"no\"",
        ),
        (
            r#""promptFields": "system""#,
            "invalid settings.backend.promptFields: expected an array of \"system\", \"bio\", \
             \"adjectives\", \"topics\", \"style\", \"lore\", \"knowledge\", \
             \"messageExamples\", found \"system\"",
        ),
        (
            r#""promptFields": ["bio", "sytem"]"#,
            "\"messageExamples\", found \"sytem\"",
        ),
        (
            r#""promptFields": ["bio", ["system"]]"#,
            "\"messageExamples\", found an array",
        ),
    ] {
        let error = error_of("openai", fields).await;
        assert!(error.contains(said), "{fields}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
    let backend = r#"{"type": "openai", "baseUrl": "http://h", "apiKeyEnv": "ADA_KEY",
                      "headers": {"Authorization": "TOPSECRET"}}"#;
    let file = format!("{{\"name\": \"Ada\", \"settings\": {{\"backend\": {backend}}}}}");
    let error = with(&file).set("ADA_KEY", "x").start_error().await;
    let said = "ada.json:2: invalid settings.backend.headers: apiKeyEnv sets Authorization";
    assert!(error.contains(said), "{error}");
    assert!(!error.contains("TOPSECRET"), "{error}");
}

#[tokio::test]
async fn an_unknown_field_stops_the_start() {
    for (kind, fields, advice) in [
        (
            "eliza",
            r#""timeoutSecond": 9"#,
            "did you mean timeoutSeconds?",
        ),
        (
            "eliza",
            r#""model": "gemma3""#,
            "a backend of type eliza has no such field; expected one of type, timeoutSeconds, \
             idleTimeoutSeconds, maxConcurrency",
        ),
        (
            "openai",
            r#""baseURL": "http://h""#,
            "did you mean baseUrl?",
        ),
        (
            "webhook",
            r#""secret": "sk-TOPSECRET""#,
            "set a variable, and name it with secretEnv",
        ),
        (
            "openai",
            r#""apiKey": "sk-TOPSECRET""#,
            "set a variable, and name it with apiKeyEnv",
        ),
        (
            "elizaos",
            r#""token": "sk-TOPSECRET""#,
            "set a variable, and name it with apiKeyEnv",
        ),
        ("external", r#""apiKey": "sk-TOPSECRET""#, "remove it"),
        (
            "openai",
            r#""foo": {"x": "sk-TOPSECRET"}"#,
            "expected one of baseUrl, model, apiKeyEnv, ",
        ),
    ] {
        let error = error_of(kind, fields).await;
        assert!(error.contains(advice), "{fields}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
}

#[tokio::test]
async fn the_last_of_two_fields_with_the_same_name_counts() {
    let text = r#"{"name": "Eve", "settings": {"backend": {"type": "gpt"}}, "name": "Ada",
                   "settings": {"backend": {"type": 7, "timeoutSeconds": 0, "type": "eliza",
                                            "timeoutSeconds": 8}}}"#;
    let server = with(&format!("\u{feff}{text}")).start().await;
    let listed = server.get("/api/agents").await.expect(200).body;
    let agents = listed["data"]["agents"].as_array().unwrap();
    let names: Vec<_> = agents.iter().map(|agent| &agent["name"]).collect();
    assert!(names.contains(&&json!("Ada")), "{names:?}");
    assert!(!names.contains(&&json!("Eve")), "{names:?}");
    server.stop().await;
}

#[tokio::test]
async fn settings_must_be_an_object() {
    let error = with(r#"{"name": "Ada", "settings": ["backend"]}"#)
        .start_error()
        .await;
    assert!(
        error.contains("expected settings, which are a JSON object"),
        "{error}"
    );
}

#[tokio::test]
async fn an_invalid_variable_is_named_without_any_file() {
    for (variable, value, reason) in [
        ("OLLAMA_API_ENDPOINT", "localhost:11434", "begins with http"),
        (
            "OPENAI_BASE_URL",
            "https://u:TOPSECRET@h/v1",
            "put the key into OPENAI_API_KEY",
        ),
    ] {
        let error = Server::builder().set(variable, value).start_error().await;
        assert!(
            error.starts_with(variable) && error.contains(reason),
            "{error}"
        );
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
}

#[tokio::test]
async fn an_invalid_variable_of_elizaos_is_named() {
    let error = Server::builder()
        .set("OPENAI_BASE_URL", "nowhere")
        .character("ada.json", &json!({ "name": "Ada" }))
        .start_error()
        .await;
    assert!(
        error.contains("ada.json:1: OPENAI_BASE_URL must be"),
        "{error}"
    );
}

#[tokio::test]
async fn older_and_newer_files_are_read() {
    let older = json!({
        "name": "Older", "clients": ["discord"], "modelProvider": "openai",
        "bio": "One line", "lore": ["x"], "knowledge": ["y"],
        "settings": { "secrets": { "OPENAI_API_KEY": "sk" }, "voice": { "model": "en" },
                      "SESSION_TIMEOUT_MINUTES": "45" },
        "messageExamples": [[{ "user": "{{user1}}", "content": { "text": "Hi" } }]],
    });
    let newer = json!({
        "name": "Newer", "bio": ["One", "Two"], "settings": null, "secrets": {},
        "plugins": ["@elizaos/plugin-sql"], "templates": {}, "topics": [], "adjectives": [],
        "messageExamples": [{ "examples": [{ "name": "u", "content": { "text": "Hi" } }] }],
    });
    let server = Server::builder()
        .character("older.json", &older)
        .character("newer.json", &newer)
        .start()
        .await;
    let listed = server.get("/api/agents").await.expect(200).body;
    for agent in listed["data"]["agents"].as_array().unwrap() {
        if agent["name"] == "Scripted" {
            continue;
        }
        // Without a backend, or a variable that names a model, the rule engine replies.
        let session = server.talk_to(agent["id"].as_str().unwrap()).await;
        assert!(!server.ask(&session, "Hello").await.is_empty());
    }
    server.stop().await;
}
