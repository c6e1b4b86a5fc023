//! Secrets and conversations do not reach the log.

use serde_json::json;

use crate::stand_in::{AGENT, StandIn, character, client};
use crate::support::server::Server as Process;

const KEY: &str = "sk-veryverysecret";
const HEADER: &str = "hk-alsoverysecret";
const PROMPT: &str = "My grandmother's recipe needs seven grams of saffron, no less.";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_server_errors_but_neither_keys_nor_the_conversation() {
    let mut stand_in = StandIn::start().await;
    let url = format!("{}/v1?key=pa55word", stand_in.url);
    let backend = json!({
        "type": "openai", "baseUrl": url, "apiKeyEnv": "MY_KEY", "headers": { "api-key": HEADER },
    });
    let setup = Process::builder()
        .env("MY_KEY", KEY)
        .env("RUST_LOG", "sessiond=trace");
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    let mut file = character(AGENT, &backend);
    file["system"] = "You are the keeper of the seventh seal of the house.".into();
    std::fs::write(directory.join("agent.json"), file.to_string()).unwrap();
    let server = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();

    let client = client();
    let created = client
        .post(server.at("/api/messaging/sessions"))
        .json(&json!({ "agentId": AGENT, "userId": AGENT }))
        .send()
        .await
        .unwrap();
    let created: serde_json::Value = created.json().await.unwrap();
    let session = created["sessionId"].as_str().unwrap().to_owned();
    let mut answers = String::new();
    for said in [
        format!("Incorrect API key provided: {KEY}"),
        format!("Unknown subscription {HEADER}"),
        format!("cannot parse: {PROMPT}"),
        "unexpected token near 'keeper of the seventh seal'".to_owned(),
        "model 'm' is not loaded".to_owned(),
    ] {
        let send = client
            .post(server.at(&format!("/api/messaging/sessions/{session}/messages")))
            .json(&json!({ "content": PROMPT, "transport": "http" }))
            .send();
        let answering = async {
            let call = stand_in.next().await;
            let error = json!({ "error": { "message": said } });
            call.answer(400, &error).await;
        };
        let (answer, ()) = tokio::join!(send, answering);
        answers.push_str(&answer.unwrap().text().await.unwrap());
    }
    // The error of a failed connection contains its address.
    drop(stand_in);
    let log = server.log();
    assert!(log.contains("400 Bad Request"), "{log}");
    assert!(log.contains("model 'm' is not loaded"), "{log}");
    assert!(log.contains("Incorrect API key provided: [key]"), "{log}");
    assert!(log.contains("Unknown subscription [header]"), "{log}");
    let warning = "the value of a header that holds secrets";
    assert!(log.contains(warning) && log.contains("api-key"), "{log}");
    for secret in [
        KEY,
        HEADER,
        "grandmother",
        "saffron",
        "seventh seal",
        "pa55word",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    for secret in [KEY, "seventh seal", "not loaded", "pa55word"] {
        assert!(
            !answers.contains(secret),
            "{secret} is in an answer: {answers}"
        );
    }
}
