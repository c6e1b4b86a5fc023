//! What a character file may say of its backend, and how a wrong one is told of.

use serde_json::json;

use crate::harness::{Builder, Server};

fn with(text: &str) -> Builder {
    Server::builder().character_text("ada.json", text)
}

#[tokio::test]
async fn a_wrong_backend_stops_the_start_with_its_place() {
    let file = |backend: &str| {
        format!("{{\"name\": \"Ada\",\n\"settings\": {{\n\"backend\": {backend}}}}}")
    };
    for (backend, line, reason) in [
        (
            r#"{"type": "gpt"}"#,
            3,
            "allowed is eliza, openai, webhook, elizaos, external",
        ),
        (
            "{}",
            3,
            "settings.backend.type is missing; it says who answers",
        ),
        (
            r#"["eliza"]"#,
            3,
            "settings.backend is a list; allowed is an object",
        ),
        (
            r#"{"type": "openai"}"#,
            3,
            "settings.backend.baseUrl is missing; a backend of type openai needs it",
        ),
        (
            "{\"type\": \"openai\",\n\"baseUrl\": 7}",
            4,
            "settings.backend.baseUrl is 7; allowed is a text in quotes",
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
            r#"{"type": "elizaos", "baseUrl": "http://h", "agentId": "x"}"#,
            3,
            "not a UUID",
        ),
        (
            r#"{"type": "elizaos", "baseUrl": "http://h", "transport": "x"}"#,
            3,
            "settings.backend.transport is \"x\"; allowed is \"sse\" or \"http\"",
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
        let error = with(&file(backend)).start_in_vain().await;
        assert!(
            error.contains(&format!("ada.json:{line}: ")),
            "{backend}: {error}"
        );
        assert!(error.contains(reason), "{backend}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
}

/// What is said of a file whose third line has these fields of a backend.
async fn told_of(kind: &str, fields: &str) -> String {
    let address = match kind {
        "openai" | "elizaos" => r#""baseUrl": "http://h","#,
        "webhook" => r#""url": "http://h","#,
        _ => "",
    };
    let backend = format!("{{\n\"type\": \"{kind}\", {address}\n{fields}}}");
    let file = format!("{{\"name\": \"Ada\", \"settings\": {{\"backend\": {backend}}}}}");
    let error = with(&file).start_in_vain().await;
    assert!(error.contains("ada.json:3: "), "{fields}: {error}");
    error
}

#[tokio::test]
async fn a_number_out_of_bounds_is_told_with_them() {
    for (field, allowed) in [
        ("timeoutSeconds", "a whole number of 1 to 1209600"),
        ("maxConcurrency", "a whole number of 1 to 1000000"),
        ("historyMessages", "a whole number of 0 to 1000"),
        ("temperature", "a number of 0 to 2"),
        ("maxTokens", "a whole number of 1 to 1000000"),
        ("maxCompletionTokens", "a whole number of 1 to 1000000"),
        ("contextTokens", "a whole number of 1 to 100000000"),
    ] {
        let fractions = if field == "temperature" { "99" } else { "1.5" };
        for (value, found) in [
            ("-1", "-1"),
            (fractions, fractions),
            ("4294967297", "4294967297"),
            (r#""30""#, r#""30""#),
            ("true", "true"),
            ("[1]", "a list"),
            (r#"{"a": "sk-TOPSECRET"}"#, "an object"),
        ] {
            let error = told_of("openai", &format!("\"{field}\": {value}")).await;
            let said = format!("settings.backend.{field} is {found}; allowed is {allowed}");
            assert!(error.contains(&said), "{value}: {error}");
        }
    }
    for field in ["timeoutSeconds", "maxConcurrency"] {
        let error = told_of("eliza", &format!("\"{field}\": 0")).await;
        assert!(
            error.contains(&format!("{field} is 0; allowed is")),
            "{error}"
        );
    }
    let error = told_of("openai", "\"maxTokens\": 0").await;
    assert!(error.contains("maxTokens is 0; allowed is"), "{error}");
}

#[tokio::test]
async fn headers_and_fields_of_a_request_are_told_without_their_values() {
    for (fields, said) in [
        (
            r#""headers": "TOPSECRET""#,
            "settings.backend.headers is a text; allowed is an object of texts such as",
        ),
        (
            r#""headers": 7"#,
            "settings.backend.headers is a number; allowed",
        ),
        (
            r#""headers": ["TOPSECRET"]"#,
            "settings.backend.headers is a list; allowed",
        ),
        (
            r#""headers": {"X-Title": {"a": "TOPSECRET"}}"#,
            "settings.backend.headers.X-Title is an object; allowed is a text in quotes",
        ),
        (
            r#""headers": {"x y": "TOPSECRET"}"#,
            "settings.backend.headers has the name \"x y\"; allowed are letters, digits and",
        ),
        (
            r#""headers": {"": "TOPSECRET"}"#,
            "settings.backend.headers has the name \"\"; allowed are letters",
        ),
        (
            r#""headers": {"X-Title": "TOPSECRET\r\nx: y"}"#,
            "settings.backend.headers.X-Title has a character that no header carries; allowed is",
        ),
        (
            r#""headers": {"X-Title": "a", "x-title": "TOPSECRET"}"#,
            "settings.backend.headers has x-title twice; allowed is once, in any case",
        ),
        (
            r#""headers": {"HOST": "TOPSECRET"}"#,
            "settings.backend.headers has HOST, which sessiond sets where it is needed",
        ),
        (
            r#""headers": {"Transfer-Encoding": "TOPSECRET"}"#,
            "settings.backend.headers has Transfer-Encoding, which sessiond sets",
        ),
        (
            r#""extraBody": ["TOPSECRET"]"#,
            "settings.backend.extraBody is a list; allowed is an object such as",
        ),
    ] {
        let error = told_of("openai", fields).await;
        assert!(error.contains(said), "{fields}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
    let backend = r#"{"type": "openai", "baseUrl": "http://h", "apiKeyEnv": "ADA_KEY",
                      "headers": {"Authorization": "TOPSECRET"}}"#;
    let file = format!("{{\"name\": \"Ada\", \"settings\": {{\"backend\": {backend}}}}}");
    let error = with(&file).set("ADA_KEY", "x").start_in_vain().await;
    let said = "ada.json:2: settings.backend.headers has Authorization, which apiKeyEnv sets";
    assert!(error.contains(said), "{error}");
    assert!(!error.contains("TOPSECRET"), "{error}");
}

#[tokio::test]
async fn a_field_that_a_backend_does_not_have_stops_the_start() {
    for (kind, fields, advice) in [
        (
            "eliza",
            r#""timeoutSecond": 9"#,
            "did you mean timeoutSeconds?",
        ),
        (
            "eliza",
            r#""model": "gemma3""#,
            "a backend of type eliza has no such field; allowed is type, timeoutSeconds, \
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
            "put it into a variable, and name that with secretEnv",
        ),
        (
            "openai",
            r#""apiKey": "sk-TOPSECRET""#,
            "put it into a variable, and name that with apiKeyEnv",
        ),
        (
            "elizaos",
            r#""token": "sk-TOPSECRET""#,
            "put it into a variable, and name that with apiKeyEnv",
        ),
        ("external", r#""apiKey": "sk-TOPSECRET""#, "take it out"),
        (
            "openai",
            r#""foo": {"x": "sk-TOPSECRET"}"#,
            "allowed is baseUrl, model, apiKeyEnv, ",
        ),
    ] {
        let error = told_of(kind, fields).await;
        assert!(error.contains(advice), "{fields}: {error}");
        assert!(!error.contains("TOPSECRET"), "{error}");
    }
}

#[tokio::test]
async fn of_two_fields_of_one_name_the_last_one_counts() {
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
async fn settings_that_are_no_object_are_told_in_plain_words() {
    let error = with(r#"{"name": "Ada", "settings": ["backend"]}"#)
        .start_in_vain()
        .await;
    assert!(
        error.contains("expected settings, which are a JSON object"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_variable_of_elizaos_is_named() {
    let error = Server::builder()
        .set("OPENAI_BASE_URL", "nowhere")
        .character("ada.json", &json!({ "name": "Ada" }))
        .start_in_vain()
        .await;
    assert!(
        error.contains("ada.json:1: OPENAI_BASE_URL must be"),
        "{error}"
    );
}

#[tokio::test]
async fn real_files_of_all_ages_are_read() {
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
        // Without a model of their own, or a variable that names one, the rule engine answers.
        let session = server.talk_to(agent["id"].as_str().unwrap()).await;
        assert!(!server.ask(&session, "Hello").await.is_empty());
    }
    server.stop().await;
}
