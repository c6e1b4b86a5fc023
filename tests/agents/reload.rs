//! Character files that are reloaded while the server runs.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::stand_in::{AGENT, OTHER, StandIn, character, client};
use crate::support::server::Server as Process;

struct Running {
    process: Process,
    client: Client,
}

impl Running {
    async fn start(files: &[(&str, Value)]) -> Self {
        let setup = Process::builder();
        fs::create_dir_all(setup.data_dir().join("agents")).unwrap();
        for (name, file) in files {
            let path = setup.data_dir().join("agents").join(name);
            fs::write(path, file.to_string()).unwrap();
        }
        let process = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();
        Self {
            process,
            client: client(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.process.data_dir().join("agents").join(name)
    }

    /// Sends SIGHUP, and waits for this log line.
    async fn reload(&self, logged: &str) {
        let count = self.process.log().matches(logged).count();
        self.process.signal("HUP");
        for _ in 0..1000 {
            if self.process.log().matches(logged).count() > count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it was not logged: {logged}\n{}", self.process.log());
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let url = self.process.at(&format!("/api/messaging/sessions{path}"));
        let answer = self.client.post(url).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn session(&self, agent: &str) -> String {
        let (status, body) = self
            .post("", json!({ "agentId": agent, "userId": AGENT }))
            .await;
        assert_eq!(status, 201, "{body}");
        body["sessionId"].as_str().unwrap().to_owned()
    }

    async fn send(&self, session: &str, transport: &str) -> (StatusCode, Value) {
        let body = json!({ "content": "Hello?", "transport": transport });
        self.post(&format!("/{session}/messages"), body).await
    }
}

fn model(stand_in: &StandIn) -> Value {
    character(AGENT, &json!({ "type": "openai", "baseUrl": stand_in.url }))
}

const RELOADED: &str = "reloaded the character files";

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_added_changed_and_removed() {
    let mut before = StandIn::start().await;
    let mut after = StandIn::start().await;
    let server = Running::start(&[("agent.json", model(&before))]).await;
    let session = server.session(AGENT).await;

    // A running turn is finished by the earlier agent.
    let answer = {
        let asking = server.send(&session, "http");
        let changing = async {
            let call = before.next().await;
            fs::write(server.file("agent.json"), model(&after).to_string()).unwrap();
            let other = character(OTHER, &json!({ "type": "eliza" }));
            fs::write(server.file("other.json"), other.to_string()).unwrap();
            server.reload(RELOADED).await;
            call.complete("As I was.").await;
        };
        tokio::join!(asking, changing).0
    };
    assert_eq!(answer.1["agentResponse"]["text"], "As I was.");
    let other = server.session(OTHER).await;
    assert_eq!(server.send(&other, "http").await.0, 201);
    let asking = server.send(&session, "http");
    let answering = async { after.next().await.complete("As I am.").await };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.1["agentResponse"]["text"], "As I am.");

    // An invalid file changes nothing.
    fs::write(server.file("other.json"), "{\n\"name\": 7}").unwrap();
    server.reload("the agents were not reloaded").await;
    assert!(server.process.log().contains("other.json:2: "));
    assert_eq!(server.send(&other, "http").await.0, 201);
    fs::remove_file(server.file("other.json")).unwrap();

    // The turns of a removed agent are closed, running or not.
    let answers = {
        let asking = server.send(&session, "http");
        let waiting = async {
            let call = after.next().await;
            let waiting = server.send(&session, "http");
            let removing = async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                fs::remove_file(server.file("agent.json")).unwrap();
                server.reload(RELOADED).await;
                call.expect_gone().await;
            };
            tokio::join!(waiting, removing).0
        };
        tokio::join!(asking, waiting)
    };
    for (status, body) in [answers.0, answers.1] {
        assert_eq!(status, 502, "{body}");
        let error = &body["details"]["userMessage"];
        assert_eq!(error["content"], "Hello?");
    }
    let (status, body) = server.send(&session, "http").await;
    assert_eq!(
        (status.as_u16(), &body["code"]),
        (404, &json!("AGENT_NOT_FOUND"))
    );
    let (status, _) = server.send(&other, "http").await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_that_wait_for_a_removed_agent_are_closed() {
    let external = character(AGENT, &json!({ "type": "external" }));
    let server = Running::start(&[("agent.json", external)]).await;
    let session = server.session(AGENT).await;
    let asking = server.send(&session, "http");
    let removing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs::remove_file(server.file("agent.json")).unwrap();
        server.reload(RELOADED).await;
    };
    let ((status, body), ()) = tokio::join!(asking, removing);
    assert_eq!(status, 502, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_or_a_missing_directory_keeps_the_agents() {
    let eliza = |backend: Value| character(OTHER, &backend);
    let server = Running::start(&[("other.json", eliza(json!({ "type": "eliza" })))]).await;
    let session = server.session(OTHER).await;
    let directory = server.process.data_dir().join("agents");
    let away = server.process.data_dir().join("away");

    let misspelt = eliza(json!({ "type": "eliza", "timeoutSecond": 5 }));
    fs::write(server.file("other.json"), misspelt.to_string()).unwrap();
    server.reload("the agents were not reloaded").await;
    assert!(
        server
            .process
            .log()
            .contains("did you mean timeoutSeconds?")
    );
    assert_eq!(server.send(&session, "http").await.0, 201);

    fs::rename(&directory, &away).unwrap();
    server.reload("the agents were not reloaded").await;
    assert!(
        server
            .process
            .log()
            .contains("agents is missing; create it again")
    );
    assert_eq!(server.send(&session, "http").await.0, 201);

    // An empty directory removes the agents.
    fs::create_dir(&directory).unwrap();
    server.reload(RELOADED).await;
    assert_eq!(server.send(&session, "http").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_file_finds_its_directory() {
    let setup = Process::builder();
    let process = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();
    let server = Running {
        process,
        client: client(),
    };
    server.reload(RELOADED).await;
    let eliza = character(OTHER, &json!({ "type": "eliza" }));
    fs::write(server.file("other.json"), eliza.to_string()).unwrap();
    server.reload(RELOADED).await;
    server.session(OTHER).await;
}
