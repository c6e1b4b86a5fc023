//! `sessiond import --from-elizaos` from the real server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::process::{AGENT, ElizaOs};
use crate::talk::{Session, Talk, setup};
use crate::turn;

const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

/// The group of channels that every server has.
const SERVER: &str = "00000000-0000-0000-0000-000000000000";

/// The longest that the agent takes to reply.
const LIMIT: Duration = Duration::from_secs(30);

/// The `ElizaOS` server as its own clients see it.
struct Theirs<'a> {
    eliza: &'a ElizaOs,
    client: Client,
}

impl Theirs<'_> {
    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/api/messaging{path}", self.eliza.url());
        let answer = self.client.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/api/messaging{path}", self.eliza.url());
        let answer = self.client.post(url).json(body).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 201, "{path}");
        answer.json().await.expect("JSON")
    }

    /// Creates a session with a message, and waits for the reply. Returns the id of its channel.
    async fn talk(&self) -> String {
        let body = json!({ "agentId": AGENT, "userId": USER, "metadata": { "title": "Names" } });
        let session = self.post("/sessions", &body).await;
        let id = session["sessionId"].as_str().expect("an id");
        let channel = session["channelId"].as_str().expect("an id").to_owned();
        let sends = format!("/sessions/{id}/messages");
        self.post(&sends, &json!({ "content": "My name is Ada." }))
            .await;
        let waiting = async {
            while self.messages(&channel).await.len() < 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.expect("a reply");
        // This reply is not stored there.
        self.post(&sends, &json!({ "content": "One", "transport": "http" }))
            .await;
        channel
    }

    async fn messages(&self, channel: &str) -> Vec<Value> {
        let page = self.get(&format!("/channels/{channel}/messages")).await;
        page["data"]["messages"]
            .as_array()
            .expect("messages")
            .clone()
    }
}

/// Runs the command, and returns its summary.
async fn import(home: &Path, eliza: &ElizaOs) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sessiond"));
    command
        .args(["import", "--json", "--from-elizaos", &eliza.url()])
        .current_dir(home)
        .env("DATA_DIR", home.join("data"));
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("no panic").expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_imported_and_continued() {
    let Some(_turn) = turn().await else { return };
    let eliza = ElizaOs::start();
    // reqwest requires a TLS provider, although no test uses TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let theirs = Theirs {
        eliza: &eliza,
        client: Client::new(),
    };
    let channel = theirs.talk().await;
    // More than a page, some of them in the same millisecond.
    let many = json!({
        "name": "Many", "type": "DM", "message_server_id": SERVER,
        "participantCentralUserIds": [USER, AGENT],
    });
    let many = theirs.post("/channels", &many).await;
    let many = many["data"]["id"].as_str().expect("an id");
    let sending = (0..300).map(|number| submit(&theirs, many, number));
    futures_util::future::join_all(sending).await;

    let setup = setup(&eliza, &[(AGENT, "http")]);
    let imported = import(setup.home(), &eliza).await;
    assert_eq!(imported["sessions"], 2, "{imported}");
    assert_eq!(imported["messages"], 3 + 300, "{imported}");
    let again = import(setup.home(), &eliza).await;
    assert_eq!(
        (&again["sessions"], &again["skipped"]),
        (&json!(0), &json!(2))
    );

    let talk = Talk::with(setup);
    let transcript = talk.transcript(&channel).await;
    let said: Vec<_> = transcript
        .iter()
        .map(|it| (&it["authorId"], &it["content"]))
        .collect();
    let expected = json!([
        [USER, "My name is Ada."],
        [AGENT, "You said 15 characters."],
        [USER, "One"],
    ]);
    assert_eq!(json!(said), expected);
    let there = theirs.messages(&channel).await;
    let times = |messages: &mut dyn Iterator<Item = &Value>| -> Vec<Value> {
        messages.map(|it| it["createdAt"].clone()).collect()
    };
    assert_eq!(
        times(&mut transcript.iter()),
        times(&mut there.iter().rev())
    );

    // The running server receives the sessions.
    let later = theirs.talk().await;
    let imported = import(talk.server.home(), &eliza).await;
    assert_eq!(
        (&imported["sessions"], &imported["skipped"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(talk.transcript(&later).await.len(), 3);

    let session: Session = talk.continued(AGENT, USER, &channel).await;
    let (reply, _) = talk.ask(&session, "What is my name?").await;
    assert_eq!(reply, "Your name is Ada.");
}

/// Adds a message to a channel, of the user or of the agent.
async fn submit(theirs: &Theirs<'_>, channel: &str, number: usize) {
    let (author, source) = [(USER, "client_chat"), (AGENT, "agent_response")][number % 2];
    let body = json!({
        "channel_id": channel, "message_server_id": SERVER, "author_id": author,
        "content": format!("{number}"), "source_type": source, "raw_message": { "text": "" },
    });
    theirs.post("/submit", &body).await;
}
