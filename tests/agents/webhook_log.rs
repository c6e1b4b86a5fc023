//! What the log has about the answers of webhooks.

use reqwest::Client;
use serde_json::{Value, json};

use crate::stand_in::{AGENT, StandIn, character, client};
use crate::support::server::Server as Process;

/// Starts a server whose log is JSON, with a webhook.
async fn start(stand_in: &StandIn) -> Process {
    let backend = json!({ "type": "webhook", "url": stand_in.url });
    let setup = Process::builder().env("LOG_FORMAT", "json");
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    let file = character(AGENT, &backend).to_string();
    std::fs::write(directory.join("agent.json"), file).unwrap();
    tokio::task::spawn_blocking(|| setup.start()).await.unwrap()
}

async fn post(client: &Client, url: &str, body: Value) -> Value {
    let answer = client.post(url).json(&body).send().await.unwrap();
    answer.json().await.unwrap()
}

/// Sends a message, which the webhook answers; returns the session's id and the answer.
async fn ask(
    server: &Process,
    stand_in: &mut StandIn,
    status: u16,
    body: &Value,
) -> (String, Value) {
    let client = client();
    let sessions = server.at("/api/messaging/sessions");
    let new = json!({ "agentId": AGENT, "userId": AGENT });
    let created = post(&client, &sessions, new).await;
    let session = created["sessionId"].as_str().unwrap().to_owned();
    let url = format!("{sessions}/{session}/messages");
    let message = json!({ "content": "A secret of mine", "transport": "http" });
    let answering = async { stand_in.next().await.answer(status, body).await };
    let (answer, ()) = tokio::join!(post(&client, &url, message), answering);
    (session, answer)
}

/// Returns the lines of the log with this message.
fn lines(server: &Process, message: &str) -> Vec<Value> {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains(message));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_wrong_type_are_dropped_and_logged() {
    let mut stand_in = StandIn::start().await;
    let server = start(&stand_in).await;
    let body = json!({ "text": "Hello.", "thought": 7, "actions": "REPLY" });
    let (session, answer) = ask(&server, &mut stand_in, 200, &body).await;
    let reply = &answer["agentResponse"];
    assert_eq!(reply["text"], "Hello.");
    assert_eq!((reply.get("thought"), reply.get("actions")), (None, None));
    // Null is the same as nothing.
    let body = json!({ "text": "Hello.", "thought": null, "actions": null });
    ask(&server, &mut stand_in, 200, &body).await;

    let lines = lines(&server, "is dropped");
    let said: Vec<_> = lines.iter().map(|line| &line["reason"]).collect();
    assert_eq!(
        said,
        [
            "thought must be a string, not a number",
            "actions must be an array, not a string"
        ]
    );
    for (line, part) in lines.iter().zip(["thought", "actions"]) {
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["part"], part);
        assert_eq!(line["session"], session);
        assert_eq!(line["agent"], AGENT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_refusal_are_not_logged() {
    let mut stand_in = StandIn::start().await;
    let server = start(&stand_in).await;
    let words = "You say: A secret of mine. I refuse";
    let refusal = json!({ "error": { "message": words } });
    let (session, answer) = ask(&server, &mut stand_in, 422, &refusal).await;
    assert_eq!(answer["error"]["details"], words);

    let lines = lines(&server, "the agent failed");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["reason"], "refused");
    assert_eq!(lines[0]["session"], session);
    assert_eq!(lines[0]["agent"], AGENT);
    assert!(!server.log().contains("secret of mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_of_a_turn_names_its_trace() {
    let mut stand_in = StandIn::start().await;
    let server = start(&stand_in).await;
    let client = client();
    let sessions = server.at("/api/messaging/sessions");
    let new = json!({ "agentId": AGENT, "userId": AGENT });
    let created = post(&client, &sessions, new).await;
    let session = created["sessionId"].as_str().unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sending = client
        .post(format!("{sessions}/{session}/messages"))
        .header("traceparent", format!("00-{trace}-00f067aa0b7902c1-01"))
        .json(&json!({ "content": "Hello?", "transport": "http" }));
    let answering = async {
        let refusal = json!({ "error": { "message": "No." } });
        stand_in.next().await.answer(422, &refusal).await;
    };
    let (answer, ()) = tokio::join!(sending.send(), answering);
    assert_eq!(answer.unwrap().status(), 502);
    let failed = lines(&server, "the agent failed");
    assert_eq!(failed[0]["span"]["trace_id"], trace, "{failed:#?}");
    // The request itself.
    let answered = lines(&server, "\"answered\"");
    assert_eq!(answered[0]["span"]["trace_id"], trace, "{answered:#?}");
}
