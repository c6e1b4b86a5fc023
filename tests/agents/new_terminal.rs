//! `sessiond agents new` on a terminal.

use std::process::{Command, ExitStatus};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stand_in::{AGENT, OTHER, StandIn};
use crate::support::terminal::OnTerminal;

/// A command on a terminal, and the directory in which it runs.
struct Running {
    home: TempDir,
    terminal: OnTerminal,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let home = TempDir::with_prefix("sessiond-test-").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessiond"));
        command
            .args(["agents", "new"])
            .args(args)
            .current_dir(home.path())
            .env_clear();
        let terminal = OnTerminal::start(command);
        Self { home, terminal }
    }

    /// Waits until the command shows a text, and enters another.
    fn enter(&mut self, prompt: &str, text: &str) {
        self.terminal.expect(prompt);
        self.terminal.enter(text);
    }

    fn finish(self) -> (ExitStatus, String, Option<Value>) {
        let (status, shown) = self.terminal.finish();
        let path = self.home.path().join("data/agents/ollie.json");
        let file = std::fs::read_to_string(path).ok();
        let file = file.map(|text| serde_json::from_str(&text).unwrap());
        (status, shown, file)
    }
}

async fn answer(stand_in: &mut StandIn, body: Value) {
    let call = stand_in.next().await;
    call.answer(200, &body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_chosen_by_its_number() {
    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    let models = json!({ "data": [{ "id": "gemma3:latest" }, { "id": "llama3.2:3b" }] });
    let choosing = tokio::task::spawn_blocking({
        let base = base.clone();
        move || {
            let mut command = Running::start(&["Ollie", "--base-url", &base]);
            command.enter("as a number or a name: ", "9\n");
            command.enter("as a number or a name: ", "2\n");
            command.finish()
        }
    });
    answer(&mut stand_in, models).await;
    let (status, shown, file) = choosing.await.unwrap();
    assert!(status.success(), "{shown}");
    assert!(
        shown.contains("  1  gemma3:latest\n  2  llama3.2:3b\n"),
        "{shown}"
    );
    assert!(shown.contains("enter a number from 1 to 2"), "{shown}");
    let expected = json!({ "type": "openai", "baseUrl": base, "model": "llama3.2:3b" });
    assert_eq!(file.unwrap()["settings"]["backend"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_an_elizaos_server_is_chosen() {
    let mut stand_in = StandIn::start().await;
    let url = stand_in.url.clone();
    let agents = json!({ "data": { "agents": [
        { "id": AGENT, "name": "Ada" }, { "id": OTHER, "name": "Eve" },
    ] } });
    let choosing = tokio::task::spawn_blocking(move || {
        let args = ["Ollie", "--backend", "elizaos", "--base-url", &url];
        let mut command = Running::start(&args);
        command.enter("agent, as a number or a name: ", "1\n");
        command.finish()
    });
    answer(&mut stand_in, agents).await;
    let (status, shown, file) = choosing.await.unwrap();
    assert!(status.success(), "{shown}");
    assert_eq!(file.unwrap()["settings"]["backend"]["agentId"], AGENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_writes_nothing() {
    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    let choosing = tokio::task::spawn_blocking(move || {
        let mut command = Running::start(&["Ollie", "--base-url", &base]);
        // Control-D.
        command.enter("as a number or a name [1]: ", "\u{4}");
        command.finish()
    });
    answer(&mut stand_in, json!({ "data": [{ "id": "m" }] })).await;
    let (status, shown, file) = choosing.await.unwrap();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("no model was chosen; nothing was written"),
        "{shown}"
    );
    assert_eq!(file, None);
}
