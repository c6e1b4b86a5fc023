//! The first conversation of the README, with its kill in the middle.

use serde_json::Value;

use super::api::{Api, answer, text};
use super::support::server::Server;

/// Returns the bodies that the section sends, in order.
fn bodies() -> Vec<Value> {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme
        .split_once("## A first conversation")
        .expect("the section");
    let (section, _) = rest.split_once("\n## ").expect("a section after it");
    let commands = section.split("--json '").skip(1);
    let bodies = commands.map(|command| command.split('\'').next().expect("a body"));
    bodies
        .map(|body| serde_json::from_str(body).expect("the body is JSON"))
        .collect()
}

#[tokio::test]
async fn the_first_conversation_of_the_readme_continues_after_the_kill() {
    let mut server = Server::start();
    let [create, introduction, question] = bodies().try_into().expect("three calls");
    let created = answer(Api::new(server.url()).post("", &create)).await;
    let session = text(&created.expect("an answer").expect(201), "sessionId");
    let messages = format!("/{session}/messages");
    let replied = answer(Api::new(server.url()).post(&messages, &introduction)).await;
    let replied = replied.expect("an answer").expect(201);
    let readme = include_str!("../../README.md");
    let said = text(&replied["agentResponse"], "text");
    assert!(readme.contains(&said), "the README does not have {said:?}");

    server.kill9();
    server.restart();
    let remembered = answer(Api::new(server.url()).post(&messages, &question)).await;
    let remembered = remembered.expect("an answer").expect(201);
    let said = text(&remembered["agentResponse"], "text");
    assert!(said.contains("Ada"), "the name is forgotten: {said:?}");
}
