//! `sessiond chat` on a terminal.

use std::process::{Command, ExitStatus};

use serde_json::{Value, json};

use super::data::{Home, command_on, succeeded};
use super::support::server::Server;
use super::support::terminal::OnTerminal;
use super::webhook::Webhook;

const TOKEN: &str = "for-the-operator-of-the-server";

/// The key Control-D.
const END: &str = "\u{4}";

/// A server with an agent whose replies the test writes, and a chat with it.
fn with_agent() -> (Webhook, Server, OnTerminal) {
    let agent = Webhook::start();
    let builder = Server::builder();
    agent.write_character(&builder.data_dir(), "Ada");
    let server = builder.start();
    let mut chat = start(command_on(&server, &["chat", "--agent", "ada"]));
    chat.expect("Talking to Ada.");
    chat.expect("> ");
    (agent, server, chat)
}

fn start(mut command: Command) -> OnTerminal {
    command.env("TERM", "xterm");
    OnTerminal::start(command)
}

/// Ends a chat at its prompt.
fn end(mut chat: OnTerminal) -> (ExitStatus, String) {
    chat.enter(END);
    chat.finish()
}

#[test]
fn a_reply_is_streamed_after_what_the_agent_thinks() {
    let (agent, _server, mut chat) = with_agent();
    chat.enter("Hello?\r");
    let mut call = agent.next().begin();
    call.event(
        "activity",
        &json!({ "kind": "thinking", "text": "A greeting." }),
    );
    chat.expect("\x1b[2m(thinking) ");
    chat.expect("\x1b[2mA greeting.");
    let tool = json!({ "kind": "tool", "name": "search", "state": "started" });
    call.event("activity", &tool);
    chat.expect("(tool search started)");
    call.say("Hel");
    chat.expect("Ada: ");
    chat.expect("Hel");
    call.say("lo.");
    chat.expect("lo.");
    call.end();
    chat.expect("> ");
    let (status, shown) = end(chat);
    assert!(status.success(), "{shown}");
    assert_eq!(
        shown.matches("Hel").count(),
        2,
        "the message and the reply: {shown:?}"
    );
    assert!(shown.contains("`sessiond chat --session "), "{shown}");
}

#[test]
fn an_agent_cannot_control_the_terminal() {
    let (agent, _server, mut chat) = with_agent();
    chat.enter("Hello?\r");
    let mut call = agent.next().begin();
    let hostile = "\x1b]0;title\x07\x1b[2J\u{9b}31m";
    call.event("activity", &json!({ "kind": "thinking", "text": hostile }));
    call.event(
        "activity",
        &json!({ "kind": "status", "name": hostile, "text": hostile }),
    );
    call.say(hostile);
    call.say("done");
    chat.expect("done");
    call.end();
    chat.expect("> ");
    let (_, shown) = end(chat);
    for sequence in ["\x1b]0;", "\x07", "\x1b[2J", "\u{9b}"] {
        assert!(!shown.contains(sequence), "{shown:?}");
    }
}

#[test]
fn a_reply_is_stopped_by_a_command_or_ctrl_c() {
    let (agent, _server, mut chat) = with_agent();
    for by_command in [true, false] {
        chat.enter("Tell me everything.\r");
        let mut call = agent.next().begin();
        call.say("First of");
        chat.expect("First of");
        if by_command {
            chat.enter("/stop\r");
        } else {
            chat.signal("INT");
        }
        chat.expect("(stopped)");
        chat.expect("> ");
    }
    // What is entered meanwhile is sent after the reply.
    chat.enter("And now?\r");
    let mut call = agent.next().begin();
    call.say("This");
    chat.expect("This");
    chat.enter("Thank you.\r");
    call.say(" it is.");
    call.end();
    chat.expect("Thank you.");
    let mut call = agent.next().begin();
    assert_eq!(call.said, "Thank you.");
    call.say("You are welcome.");
    call.end();
    chat.expect("You are welcome.");
    chat.expect("> ");
    let (status, shown) = end(chat);
    assert!(status.success(), "{shown}");
}

#[test]
fn a_second_ctrl_c_ends_it_although_the_server_does_not_answer() {
    let (agent, server, mut chat) = with_agent();
    chat.enter("Tell me everything.\r");
    let mut call = agent.next().begin();
    call.say("First of");
    chat.expect("First of");
    server.signal("STOP");
    chat.signal("INT");
    chat.expect("(stopping)");
    chat.signal("INT");
    let (status, shown) = chat.finish();
    server.signal("CONT");
    assert_eq!(status.code(), Some(130), "{shown}");
    assert!(shown.contains("`sessiond chat --session "), "{shown}");
}

#[test]
fn a_failed_turn_does_not_end_the_chat() {
    let (agent, _server, mut chat) = with_agent();
    chat.enter("Hello?\r");
    agent.next().refuse("Not today.");
    chat.expect("no reply: Not today.");
    chat.expect("> ");
    let (status, shown) = end(chat);
    assert!(status.success(), "{shown}");
}

#[test]
fn a_reply_goes_on_after_a_restart_of_the_server() {
    let (agent, mut server, mut chat) = with_agent();
    chat.enter("Hello?\r");
    let mut call = agent.next().begin();
    call.say("Hello, my");
    chat.expect("Hello, my");
    server.kill9();
    chat.expect("(connection lost; reconnecting)");
    server.restart();
    let mut call = agent.next().begin();
    call.say("Hello, my friend.");
    call.end();
    chat.expect("friend.");
    chat.expect("> ");
    let (status, shown) = end(chat);
    assert!(status.success(), "{shown}");
}

#[test]
fn sessions_are_listed_and_continued() {
    let home = Home::new();
    let mut chat = start(home.command(&["chat"]));
    chat.expect("this chat serves it until it ends");
    chat.expect("Talking to Eliza.");
    chat.expect("> ");
    chat.enter("/help\r");
    chat.expect("/sessions  list your sessions");
    chat.expect("> ");
    chat.enter("/nothing\r");
    chat.expect("There is no command /nothing");
    chat.expect("> ");
    chat.enter("/sessions\r");
    chat.expect("You have no sessions yet.");
    chat.expect("> ");
    chat.enter("My name is Ada.\r");
    chat.expect("Eliza: ");
    chat.expect("> ");
    chat.enter("/new\r");
    chat.expect("begins a new session");
    chat.expect("> ");
    chat.enter("The weather is fine.\r");
    chat.expect("Eliza: ");
    chat.expect("> ");
    chat.enter("/sessions\r");
    chat.expect("  1  ");
    chat.expect("  2  ");
    chat.expect("or nothing: ");
    chat.enter("7\r");
    chat.expect("Expected a number from 1 to 2.");
    chat.expect("> ");
    chat.enter("/sessions\r");
    chat.expect("or nothing: ");
    chat.enter("2\r");
    chat.expect("Continuing the session ");
    chat.expect("you: My name is Ada.");
    chat.expect("> ");
    chat.enter("What is my name?\r");
    chat.expect("Eliza: ");
    chat.expect("Ada");
    chat.expect("> ");
    chat.enter("/quit\r");
    let (status, shown) = chat.finish();
    assert!(status.success(), "{shown}");
    assert_eq!(
        home.succeeds(&["export"])
            .matches("\"type\":\"session\"")
            .count(),
        2
    );
}

#[test]
fn without_colours_nothing_is_dim() {
    let home = Home::new();
    let mut command = home.command(&["chat"]);
    command.env("NO_COLOR", "1");
    let mut chat = start(command);
    chat.expect("Talking to Eliza.");
    chat.expect("> ");
    chat.enter("Hello.\r");
    chat.expect("Eliza: ");
    chat.expect("> ");
    let (_, shown) = end(chat);
    assert!(
        !shown.contains("\x1b[2m") && !shown.contains("\x1b[1m"),
        "{shown:?}"
    );
}

#[test]
fn a_signal_ends_it_cleanly() {
    let home = Home::new();
    let mut chat = start(home.command(&["chat"]));
    chat.expect("Talking to Eliza.");
    chat.expect("> ");
    chat.signal("TERM");
    let (status, shown) = chat.finish();
    assert_eq!(status.code(), Some(143), "{shown}");
    succeeded(&home.run(&["check"]));
}

#[test]
fn the_token_of_a_remote_server_is_entered_hidden() {
    let server = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .start();
    let home = Home::new();
    let mut chat = start(home.command(&["chat", "--url", server.url()]));
    chat.expect("Token for http://127.0.0.1:");
    chat.expect("/: ");
    chat.enter(&format!("{TOKEN}\r"));
    chat.expect("Talking to Eliza.");
    chat.expect("> ");
    let (status, shown) = end(chat);
    assert!(status.success(), "{shown}");
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_prompt_for_a_token_can_be_left() {
    let server = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .start();
    let home = Home::new();
    let ask = || {
        let mut chat = start(home.command(&["chat", "--url", server.url()]));
        chat.expect("/: ");
        chat
    };
    let mut chat = ask();
    chat.enter(END);
    let (status, shown) = chat.finish();
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("no token was entered"), "{shown}");
    let chat = ask();
    chat.signal("INT");
    let (status, shown) = chat.finish();
    assert_eq!(status.code(), Some(130), "{shown}");
}

#[test]
fn the_end_of_its_terminal_ends_it() {
    let home = Home::new();
    let mut chat = start(home.command(&["chat", "--data-dir", "my data"]));
    chat.expect("Talking to Eliza.");
    chat.expect("> ");
    chat.enter("Hello.\r");
    chat.expect("Eliza: ");
    chat.expect("> ");
    chat.signal("HUP");
    let (status, shown) = chat.finish();
    assert_eq!(status.code(), Some(129), "{shown}");
    // The line at the end leads to the same data.
    let line = "`sessiond chat --data-dir 'my data' --session ";
    assert!(shown.contains(line), "{shown}");
    // The editor had asked for pasted text to be marked.
    assert!(shown.ends_with("\x1b[?2004l"), "{shown:?}");
}

#[test]
fn a_session_that_was_deleted_is_followed_by_a_new_one() {
    let server = Server::start();
    let mut chat = start(command_on(&server, &["chat"]));
    chat.expect("> ");
    chat.enter("One.\r");
    chat.expect("Eliza: ");
    chat.expect("> ");
    let listed = command_on(&server, &["sessions", "list", "--json"]).output();
    let listed: Value = serde_json::from_str(&succeeded(&listed.expect("it runs"))).expect("JSON");
    let id = listed[0]["sessionId"].as_str().expect("an id");
    let deleting = command_on(&server, &["sessions", "delete", "--yes", id]).output();
    succeeded(&deleting.expect("it runs"));
    chat.enter("Two.\r");
    chat.expect("The session was deleted; the message begins a new one.");
    chat.expect("Eliza: ");
    chat.expect("> ");
    let (status, shown) = end(chat);
    assert!(status.success(), "{shown}");
}

#[test]
fn what_a_reply_has_beside_its_text_is_shown() {
    let (agent, _server, mut chat) = with_agent();
    chat.enter("Hello?\r");
    agent.next().answer(&json!({
        "text": "",
        "attachments": [{ "type": "image", "title": "A plan", "url": "https://h/plan.png" }],
    }));
    chat.expect("(attachment: A plan, https://h/plan.png)");
    chat.expect("> ");
    let (_, shown) = end(chat);
    assert!(!shown.contains("without text"), "{shown}");
}

#[test]
fn ctrl_d_during_a_reply_ends_the_chat_after_it() {
    let (agent, _server, mut chat) = with_agent();
    chat.enter("Hello?\r");
    let mut call = agent.next().begin();
    call.say("Good");
    chat.expect("Good");
    chat.enter(END);
    call.say("bye.");
    call.end();
    let (status, shown) = chat.finish();
    assert!(status.success(), "{shown}");
    assert!(shown.contains("bye."), "{shown}");
}

#[test]
fn a_chat_takes_over_from_the_one_whose_server_it_used() {
    let agent = Webhook::start();
    let home = Home::new();
    agent.write_character(&home.path("data"), "Ada");
    let chat = || {
        let mut chat = start(home.command(&["chat", "--agent", "ada"]));
        chat.expect("> ");
        chat
    };
    let first = chat();
    let mut second = chat();
    second.enter("Hello?\r");
    let mut call = agent.next().begin();
    call.say("I was");
    second.expect("I was");
    let (status, shown) = end(first);
    assert!(status.success(), "{shown}");
    // The reply that the end of the first one has interrupted is asked for again.
    second.expect("(connection lost; reconnecting)");
    let mut call = agent.next().begin();
    assert_eq!(call.said, "Hello?");
    call.say("I was here.");
    call.end();
    second.expect("here.");
    second.expect("> ");
    let message = home.fails(&["check"]);
    assert!(message.contains("`sessiond chat`"), "{message}");
    let (status, shown) = end(second);
    assert!(status.success(), "{shown}");
    succeeded(&home.run(&["check"]));
}
