//! `sessiond chat` with a pipe in the place of a person: in scripts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sessiond::agents::character::ELIZA_ID;
use sessiond::domain::derived_id::derive_uuid;

use super::data::{Home, USER, client, command_on, succeeded};
use super::jwt;
use super::support::process;
use super::support::server::Server;
use super::webhook::Webhook;

const SESSIONS: &str = "/api/messaging/sessions";

const TOKEN: &str = "for-the-operator-of-the-server";

/// Longer waits fail the test.
const LIMIT: Duration = Duration::from_mins(1);

/// Runs a chat with these lines as its input.
fn chat(mut command: Command, lines: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("a pipe");
    // A chat that fails does not read all of it.
    let _ = input.write_all(lines.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

/// Returns the error of a chat that must fail with this exit code.
fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

async fn get(server: &Server, path: &str) -> Value {
    let request = client().get(server.at(path)).bearer_auth(TOKEN);
    let answer = request.send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

async fn create(server: &Server, timeout: &Value) -> String {
    let body = json!({
        "agentId": ELIZA_ID.to_string(), "userId": USER, "timeoutConfig": timeout,
    });
    let request = client().post(server.at(SESSIONS)).json(&body);
    let session: Value = request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    session["sessionId"].as_str().expect("an id").to_owned()
}

/// A chat whose input the test holds open.
struct Open {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
}

impl Open {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let input = child.stdin.take();
        Self {
            child,
            input,
            output,
        }
    }

    fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{line}").expect("it reads");
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a reply");
        line
    }

    fn end(&mut self) -> ExitStatus {
        self.input = None;
        process::wait_at_most(&mut self.child, LIMIT).expect("it ends")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}

#[tokio::test]
async fn each_line_is_a_message_to_the_running_server_whose_reply_is_a_line() {
    let server = Server::start();
    let mut command = command_on(&server, &["chat", "--agent", "ELIZA"]);
    command
        .env("USER", "ada")
        .env("CLICOLOR_FORCE", "1")
        .env("TERM", "xterm");
    let output = chat(command, "Hi, my name is Ada.\n\nSay my name.\n");
    let replies = succeeded(&output);
    let lines: Vec<_> = replies.lines().collect();
    assert_eq!(lines.len(), 2, "{replies}");
    assert!(lines.iter().all(|line| line.contains("Ada")), "{replies}");
    assert!(!replies.contains('\x1b'), "{replies:?}");

    // It is the session of the user with the login name.
    let user = derive_uuid("ada");
    let listed = get(&server, &format!("{SESSIONS}?userId={user}")).await;
    assert_eq!(listed["total"], 1, "{listed}");
    let id = listed["sessions"][0]["sessionId"].as_str().expect("an id");
    let continued = command_on(&server, &["chat", "--session", id]);
    assert!(succeeded(&chat(continued, "What is my name?\n")).contains("Ada"));
    let messages = get(&server, &format!("{SESSIONS}/{id}/messages")).await;
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(6));
}

#[test]
fn without_a_server_it_serves_the_data_itself_until_it_ends() {
    let home = Home::new();
    let command = home.command(&["chat", "--user", USER]);
    let output = chat(command, "Hello.\n");
    let replies = succeeded(&output);
    assert_eq!(replies.lines().count(), 1, "{replies}");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    let data = home.path("data").display().to_string();
    assert!(
        message.contains(&format!("no server runs on {data}: this chat serves it")),
        "{message}"
    );
    let names = home.names();
    assert!(names.contains(&"sessiond.redb".to_owned()), "{names:?}");
    for gone in ["sessiond.sock", "sessiond.lock"] {
        assert!(!names.contains(&gone.to_owned()), "{names:?}");
    }
    let exported = home.succeeds(&["export", "--user", USER]);
    assert_eq!(exported.lines().count(), 3, "{exported}");
    home.succeeds(&["check"]);
}

#[test]
fn other_commands_name_the_chat_that_holds_the_data() {
    let home = Home::new();
    let mut chat = Open::start(home.command(&["chat"]));
    chat.say("Hello.");
    assert!(!chat.reply().is_empty());
    let holder = format!(
        "a chat (`sessiond chat`, process {}) holds",
        chat.child.id()
    );
    for command in [
        &["serve", "--server-port", "0"][..],
        &["check"],
        &["compact"],
    ] {
        let message = failed(&home.run(command), 1);
        assert!(message.contains(&holder), "{message}");
        assert!(message.contains("stop it first"), "{message}");
    }
    // It answers those that ask a server, and other chats.
    assert_eq!(home.succeeds(&["export"]).lines().count(), 3);
    let mut second = Open::start(home.command(&["chat"]));
    second.say("Hello.");
    assert!(!second.reply().is_empty());
    assert!(second.end().success());
    assert!(chat.end().success());
    home.succeeds(&["check"]);
}

#[test]
fn a_remote_server_takes_the_token_from_the_environment() {
    let server = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .start();
    let home = Home::new();
    let talk = |url: &str, token: &str| {
        let mut command = home.command(&["chat", "--url", url]);
        command.env("SESSIOND_TOKEN", token);
        chat(command, "Hello.\n")
    };
    let replies = succeeded(&talk(server.url(), TOKEN));
    assert_eq!(replies.lines().count(), 1, "{replies}");
    assert!(home.names().is_empty(), "it needs no data directory");

    for (token, advice) in [
        ("wrong", "check SESSIOND_TOKEN"),
        ("", "set SESSIOND_TOKEN"),
    ] {
        let message = failed(&talk(server.url(), token), 1);
        assert!(
            message.contains("401") && message.contains(advice),
            "{message}"
        );
    }
    let message = failed(&talk("http://127.0.0.1:1", TOKEN), 1);
    assert!(
        message.contains("http://127.0.0.1:1 does not answer"),
        "{message}"
    );
    let message = failed(&talk("127.0.0.1:3000", TOKEN), 2);
    assert!(message.contains("invalid --url"), "{message}");
    assert!(!message.contains(TOKEN));
}

#[tokio::test]
async fn a_user_of_a_remote_server_talks_as_itself() {
    let server = Server::builder()
        .env("JWT_SECRET", jwt::KEY)
        .env("SESSIOND_ADMIN_TOKEN", TOKEN)
        .start();
    let home = Home::new();
    let mut command = home.command(&["chat", "--url", server.url()]);
    command.env("SESSIOND_TOKEN", jwt::token(USER, 4_000_000_000));
    succeeded(&chat(command, "Hello.\n"));
    let listed = get(&server, &format!("{SESSIONS}?userId={USER}")).await;
    assert_eq!(listed["total"], 1, "{listed}");
}

#[test]
fn what_cannot_be_is_refused() {
    let server = Server::start();
    let unknown = "00000000-0000-7000-8000-000000000000";
    for (arguments, code, advice) in [
        (
            &["--agent", "Bob"][..],
            1,
            "there is no agent \"Bob\"; the agents are:\n",
        ),
        (
            &["--session", "x"],
            2,
            "invalid --session \"x\": expected the id",
        ),
        (&["--session", unknown], 1, unknown),
        (
            &["--session", unknown, "--agent", "Eliza"],
            2,
            "cannot be used with",
        ),
        (&["--token", TOKEN], 2, "unexpected argument '--token'"),
    ] {
        let arguments = [&["chat"], arguments].concat();
        let output = chat(command_on(&server, &arguments), "Hello.\n");
        let message = failed(&output, code);
        assert!(message.contains(advice), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_message_without_a_reply_ends_it_with_an_error() {
    let agent = Webhook::start();
    let home = Home::new();
    agent.write_character(&home.path("data"), "Ada");
    let command = home.command(&["chat", "--agent", "Ada"]);
    let talking = std::thread::spawn(move || chat(command, "one\ntwo\nthree\n"));
    let mut call = agent.next().begin();
    call.say("I am");
    call.say(" here.\r\nReally\x1b[2J.");
    call.end();
    let call = agent.next();
    assert_eq!(call.said, "two");
    call.refuse("That is not for me.");
    let output = talking.join().expect("no panic");
    let message = failed(&output, 1);
    assert!(
        message.contains("no reply: That is not for me."),
        "{message}"
    );
    assert!(message.contains("the agent's last failure: "), "{message}");
    let replies = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(replies, "I am here.\nReally\u{fffd}[2J.\n");
}

#[test]
fn commands_at_the_same_time_wait_for_each_other() {
    let home = Home::new();
    let together = |arguments: &[&str]| {
        let children: Vec<_> = (0..4)
            .map(|_| {
                let mut command = home.command(arguments);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("the binary runs")
            })
            .collect();
        for child in children {
            succeeded(&child.wait_with_output().expect("it ends"));
        }
    };
    // Without input they only connect.
    together(&["chat"]);
    together(&["sessions", "list"]);
    let mut talking = Open::start(home.command(&["chat", "--user", "ada"]));
    together(&["sessions", "list"]);
    talking.say("Hello.");
    assert!(!talking.reply().is_empty());
    // So do those that do not use a server, and a server.
    let mut listing = home.command(&["sessions", "list"]);
    let mut listing = listing.spawn().expect("the binary runs");
    let (checked, exported) = (home.run(&["check"]), home.run(&["export"]));
    assert_eq!(checked.status.code(), Some(1), "the chat holds the data");
    succeeded(&exported);
    assert!(listing.wait().expect("it ends").success());
    // The user is named as in the chat.
    let listed = home.succeeds(&["sessions", "list", "--user", "ada", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed[0]["userId"], derive_uuid("ada").to_string());
    assert!(talking.end().success());
}

#[test]
fn a_server_waits_for_commands_that_are_about_to_end() {
    let home = Home::new();
    succeeded(&chat(home.command(&["chat"]), "Hello.\n"));
    for command in [&["sessions", "list"][..], &["export"], &["check"]] {
        let mut brief = home.command(command);
        let mut brief = brief
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut serving = home.command(&["--port", "0"]);
        serving.stdout(Stdio::piped());
        let mut serving = serving.spawn().expect("the binary runs");
        let log = BufReader::new(serving.stdout.take().expect("a pipe"));
        let mut lines = log.lines().map_while(Result::ok);
        let listens = lines.any(|line| line.contains("listening on"));
        // It may have been quicker, and answer the command.
        let is_done = brief.wait().expect("it ends").success();
        process::kill(&mut serving);
        assert!(listens && (is_done || command == ["check"]), "{command:?}");
    }
}

#[test]
fn a_refused_chat_creates_no_data() {
    let home = Home::new();
    let unknown = "00000000-0000-7000-8000-000000000000";
    for arguments in [["--agent", "Bob"], ["--session", unknown]] {
        let command = home.command(&[&["chat"], &arguments[..]].concat());
        failed(&chat(command, "Hello.\n"), 1);
        assert!(!home.path("data").exists(), "{arguments:?}");
    }
}

#[test]
fn a_line_that_is_no_message_is_named() {
    let home = Home::new();
    let long = format!("Hello.\n{}\n", "x".repeat(70_000));
    let output = chat(home.command(&["chat"]), &long);
    let message = failed(&output, 1);
    assert!(
        message.contains("line 2 of the input is longer"),
        "{message}"
    );
}

#[test]
fn a_setting_without_an_effect_is_named() {
    let home = Home::new();
    let output = chat(home.command(&["chat", "--port", "3001"]), "");
    succeeded(&output);
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        message.contains("--server-port has no effect on `sessiond chat`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_restart_of_the_server_loses_and_repeats_nothing() {
    let agent = Webhook::start();
    let builder = Server::builder();
    agent.write_character(&builder.data_dir(), "Ada");
    let mut server = builder.start();
    let command = command_on(&server, &["chat", "--agent", "Ada", "--user", USER]);
    let mut chat = Open::start(command);
    chat.say("Are you there?");
    let mut first = agent.next().begin();
    first.say("I w");
    server.kill9();
    server.restart();
    let mut second = agent.next().begin();
    assert_eq!(second.said, "Are you there?");
    second.say("I am.");
    second.end();
    assert_eq!(chat.reply(), "I am.\n");
    // Also between two messages.
    server.kill9();
    server.restart();
    chat.say("Still?");
    let mut third = agent.next().begin();
    third.say("Still.");
    third.end();
    assert_eq!(chat.reply(), "Still.\n");
    assert!(chat.end().success());
    let listed = get(&server, &format!("{SESSIONS}?userId={USER}")).await;
    assert_eq!(listed["total"], 1, "{listed}");
    let id = listed["sessions"][0]["sessionId"].as_str().expect("an id");
    let messages = get(&server, &format!("{SESSIONS}/{id}/messages")).await;
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn an_expired_session_is_continued_by_a_new_one() {
    let server = Server::builder()
        .env("SESSION_TIME_SCALE", "60")
        .env("SESSION_MIN_TIMEOUT_MINUTES", "1")
        .start();
    let short = json!({ "timeoutMinutes": 1, "autoRenew": false });
    let id = create(&server, &short).await;
    let mut status = 200;
    while status != 410 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let path = format!("{SESSIONS}/{id}");
        let answer = client().get(server.at(&path)).send().await;
        status = answer.expect("an answer").status().as_u16();
    }
    let output = chat(command_on(&server, &["chat", "--session", &id]), "Hello.\n");
    assert_eq!(succeeded(&output).lines().count(), 1, "{output:?}");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(
        message.contains(&format!("The session {id} has expired; ")),
        "{message}"
    );
    let listed = get(&server, &format!("{SESSIONS}?userId={USER}&status=all")).await;
    let sessions = listed["sessions"].as_array().expect("sessions");
    let is_copy = |session: &&Value| session["continuedFrom"]["sessionId"] == id.as_str();
    assert_eq!(sessions.iter().filter(is_copy).count(), 1, "{listed}");
}
