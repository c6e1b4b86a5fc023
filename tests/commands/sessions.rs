//! `sessions`: on the data, on a running server, and on one elsewhere.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sessiond::agents::character::ELIZA_ID;

use super::data::{Home, USER, client, command_on, create_conversations, succeeded};
use super::support::server::Server;
use super::support::terminal::OnTerminal;

const KEY: &str = "the tests' key, of thirty-two bytes and more";
const ADMIN: &str = "for-the-operator-of-the-server";
const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

fn on(server: &Server, arguments: &[&str]) -> Output {
    let command = &mut command_on(server, &[&["sessions"], arguments].concat());
    command.output().expect("it runs")
}

/// Returns the output of a command on the data of a server.
fn lines(server: &Server, arguments: &[&str]) -> Vec<String> {
    let shown = succeeded(&on(server, arguments));
    shown.lines().map(str::to_owned).collect()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&succeeded(output)).expect("JSON")
}

fn ids(sessions: &Value) -> Vec<&str> {
    let sessions = sessions.as_array().expect("an array");
    let ids = sessions.iter().map(|it| it["sessionId"].as_str());
    ids.map(|id| id.expect("an id")).collect()
}

/// Returns the error of a command that must fail without an answer.
fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Creates a session with a title and a message, both with control characters.
async fn create_hostile(server: &Server) -> String {
    let created = try_create_hostile(server).await;
    created.expect("it does not expire before the message")
}

/// Does the same, or returns `None` if the session has expired before the message.
async fn try_create_hostile(server: &Server) -> Option<String> {
    let body = json!({
        "agentId": ELIZA_ID.to_string(), "userId": UNKNOWN,
        "metadata": { "title": "roses \u{1b}]0;gotcha\u{7}\u{9b}2J" },
    });
    let sessions = server.at("/api/messaging/sessions");
    let created = client().post(&sessions).json(&body).send().await;
    let created: Value = created.expect("an answer").json().await.expect("JSON");
    let id = created["sessionId"].as_str().expect("an id").to_owned();
    let message = json!({ "content": "My roses \u{1b}[31m are\nill", "transport": "http" });
    let sent = client().post(format!("{sessions}/{id}/messages"));
    let sent = sent.json(&message).send().await.expect("an answer");
    match sent.status().as_u16() {
        410 => None,
        status => {
            assert_eq!(status, 201);
            Some(id)
        }
    }
}

#[tokio::test]
async fn sessions_of_a_running_server_are_listed_shown_and_searched() {
    let server = Server::start();
    let sessions = create_conversations(&server).await;
    let hostile = create_hostile(&server).await;

    let listed = lines(&server, &["list"]);
    assert_eq!(listed.len(), 10);
    assert!(listed[0].starts_with(&format!("{hostile}  ")), "{listed:?}");
    assert_eq!(listed[1], format!("  {UNKNOWN}  roses  ]0;gotcha  2J"));
    let (id, rest) = listed[2].split_at(36);
    assert_eq!(id, sessions[3]);
    assert!(
        rest.ends_with("min left  Eliza") && rest.contains(" ago "),
        "{rest}"
    );
    assert!(listed[3].starts_with(&format!("  {USER}  “")), "{listed:?}");
    assert!(
        listed.iter().all(|line| line.chars().count() <= 80),
        "{listed:?}"
    );
    for (arguments, count) in [
        (&["list", "--user", USER, "--agent", "eliza"][..], 4),
        (&["list", "--limit", "2"], 2),
        (&["list", "--status", "expired"], 0),
        (&["list", "--status", "all", "--query", "gotcha"], 1),
    ] {
        assert_eq!(lines(&server, arguments).len(), 2 * count, "{arguments:?}");
        let output = on(&server, &[arguments, &["--json"]].concat());
        assert_eq!(ids(&parsed(&output)).len(), count, "{arguments:?}");
    }
    let more = on(&server, &["list", "--limit", "2"]);
    let note = String::from_utf8_lossy(&more.stderr);
    assert!(note.contains("more than these 2; see --limit"), "{note}");

    let shown = lines(&server, &["show", &hostile.to_uppercase()]);
    for expected in [
        format!("session        {hostile}"),
        format!("agent          Eliza {ELIZA_ID}"),
        "  My roses  [31m are".to_owned(),
        "  ill".to_owned(),
    ] {
        assert!(shown.contains(&expected), "{expected} in {shown:?}");
    }
    let found = parsed(&on(
        &server,
        &["show", "--json", "--messages", "2", &sessions[3]],
    ));
    assert_eq!(found["session"]["sessionId"], json!(sessions[3]));
    let messages = found["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["content"], "hello ✓ 3");
    assert_eq!(messages[1]["isAgent"], true);

    let found = lines(&server, &["search", "ROSES", "--user", UNKNOWN]);
    assert!(
        found.len() >= 2 && found.len().is_multiple_of(2),
        "{found:?}"
    );
    assert!(
        found.contains(&"  My roses  [31m are ill".to_owned()),
        "{found:?}"
    );
    let found = parsed(&on(
        &server,
        &["search", "✓ 3", "--agent", "Eliza", "--json"],
    ));
    assert_eq!(ids(&found), [sessions[3].as_str()]);
    let nothing = on(&server, &["search", "no such words"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no message matches"));
    assert_eq!(succeeded(&nothing), "");
}

#[tokio::test]
async fn without_a_server_the_data_are_read_and_expired_sessions_shown() {
    // 30 minutes are 3 s.
    let mut server = Server::builder()
        .env("SESSION_TIME_SCALE", "600")
        .env("SESSION_RETENTION_MINUTES", "5256000")
        .start();
    let session = loop {
        if let Some(session) = try_create_hostile(&server).await {
            break session;
        }
    };
    loop {
        let listed = parsed(&on(&server, &["list", "--status", "expired", "--json"]));
        if ids(&listed).contains(&session.as_str()) {
            break;
        }
    }
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let shown = home.succeeds(&["sessions", "show", &session]);
    assert!(shown.contains("expired, retained until "), "{shown}");
    assert!(shown.contains("My roses"), "{shown}");
    let listed = home.succeeds(&["sessions", "list", "--status=all", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert!(ids(&listed).contains(&session.as_str()), "{listed}");
    let before = ids(&listed).len();
    let found = home.succeeds(&["sessions", "search", "roses"]);
    assert!(found.contains(&session), "{found}");
    assert!(home.succeeds(&["check"]).contains("sound"));
    let deleted = home.succeeds(&["sessions", "delete", "--yes", &session]);
    assert_eq!(deleted, "deleted 1 session\n");
    let listed = home.succeeds(&["sessions", "list", "--status=all", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(ids(&listed).len(), before - 1);
    assert!(!ids(&listed).contains(&session.as_str()), "{listed}");
}

#[test]
fn no_data_is_created_to_be_listed() {
    let home = Home::new();
    let message = home.fails(&["sessions", "list"]);
    let data_dir = home.path("data").display().to_string();
    assert!(
        message.contains(&format!("starts in {data_dir};")),
        "{message}"
    );
    assert!(!home.path("data").exists());
}

#[tokio::test]
async fn sessions_are_deleted_all_or_none() {
    let server = Server::start();
    let sessions = create_conversations(&server).await;
    let left = || {
        let listed = parsed(&on(&server, &["list", "--json"]));
        ids(&listed).len()
    };
    let one = sessions[0].as_str();
    for (arguments, code, expected) in [
        (&["delete", one][..], 2, "--yes deletes without asking"),
        (&["delete", "--yes", one, UNKNOWN], 1, UNKNOWN),
        (
            &["delete", "--yes", one, "x"],
            2,
            "\"x\" is not a session id: expected a UUID",
        ),
        (
            &["delete", "--yes", "--user", ""],
            2,
            "expected a UUID, or a name",
        ),
        (&["delete", "--yes"], 2, "<ID>"),
        (
            &["delete", "--yes", "--user", USER, one],
            2,
            "cannot be used with",
        ),
    ] {
        let message = failed(&on(&server, arguments), code);
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert_eq!(left(), 4, "{arguments:?}");
    }
    let deleted = on(
        &server,
        &["delete", "--yes", "--json", one, one, &sessions[1]],
    );
    assert_eq!(parsed(&deleted), json!({ "deleted": 2 }));
    assert_eq!(left(), 2);
    let deleted = on(&server, &["delete", "--yes", "--user", USER]);
    assert_eq!(succeeded(&deleted), "deleted 2 sessions\n");
    assert_eq!(left(), 0);
}

/// Runs a command on a terminal, and answers its question. Returns what was shown.
fn answered(command: Command, question: &str, answer: &str) -> (String, Option<i32>) {
    let mut program = OnTerminal::start(command);
    program.expect(question);
    program.enter(&format!("{answer}\n"));
    let (status, shown) = program.finish();
    (shown, status.code())
}

#[tokio::test]
async fn on_a_terminal_a_person_is_asked() {
    let server = Server::start();
    let hostile = create_hostile(&server).await;
    let question = "Delete 1 session and the messages? [y/N] ";
    let command = || command_on(&server, &["sessions", "delete", &hostile]);
    let (shown, code) = answered(command(), question, "n");
    assert!(
        shown.contains(&hostile) && shown.contains("roses"),
        "{shown}"
    );
    assert!(shown.contains("nothing was deleted"), "{shown}");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert_eq!(code, Some(1));
    let (shown, code) = answered(command(), question, "yes");
    assert!(shown.contains("deleted 1 session"), "{shown}");
    assert_eq!(code, Some(0));
    let message = failed(&on(&server, &["show", &hostile]), 1);
    assert!(
        message.contains(&format!("there is no session {hostile}")),
        "{message}"
    );
}

#[tokio::test]
async fn a_server_elsewhere_is_reached_by_its_address() {
    let server = Server::builder()
        .env("SESSIOND_ADMIN_TOKEN", ADMIN)
        .env("JWT_SECRET", KEY)
        .start();
    let home = Home::new();
    let run = |token: Option<&str>, arguments: &[&str]| {
        let mut command = home.command(&[&["sessions"], arguments].concat());
        command.args(["--url", server.url()]);
        command.envs(token.map(|token| ("SESSIOND_TOKEN", token)));
        command.output().expect("it runs")
    };
    let jwt = home.command(&["jwt", USER]).env("JWT_SECRET", KEY).output();
    let jwt = succeeded(&jwt.expect("it runs"));
    let jwt = jwt.trim();
    for user in [USER, UNKNOWN] {
        let body = json!({ "agentId": ELIZA_ID.to_string(), "userId": user });
        let created = client().post(server.at("/api/messaging/sessions"));
        let created = created.bearer_auth(ADMIN).json(&body).send().await;
        assert_eq!(created.expect("an answer").status(), 201);
    }
    let listed = |token, arguments: &[&str]| {
        let output = run(token, &[&["list", "--json"], arguments].concat());
        ids(&parsed(&output)).len()
    };
    assert_eq!(listed(Some(ADMIN), &[]), 2);
    // A user lists its own.
    assert_eq!(listed(Some(jwt), &[]), 1);
    let message = failed(&run(Some(jwt), &["list", "--user", UNKNOWN]), 1);
    assert!(message.contains("403"), "{message}");
    let message = failed(&run(None, &["list"]), 1);
    assert!(message.contains("SESSIOND_TOKEN"), "{message}");
    let message = failed(&run(Some("wrong"), &["list"]), 1);
    assert!(message.contains("401"), "{message}");
    assert!(!message.contains("wrong"), "{message}");
    let message = failed(&run(Some("a\nb"), &["list"]), 1);
    assert!(
        message.contains("SESSIOND_TOKEN is not a token"),
        "{message}"
    );
    let message = failed(&home.run(&["sessions", "list", "--url", "ftp://x"]), 2);
    assert!(message.contains("invalid --url: expected"), "{message}");
    assert!(!home.path("data").exists());
}

#[tokio::test]
async fn what_is_wrong_with_the_arguments_is_said() {
    let server = Server::start();
    for (arguments, code, expected) in [
        (
            &["list", "--agent", "Elza"][..],
            1,
            "there is no agent \"Elza\"",
        ),
        (&["list", "--user", ""], 2, "expected a UUID, or a name"),
        (
            &["list", "--status", "old"],
            2,
            "[possible values: active, expired, all]",
        ),
        (&["list", "--limit", "0"], 2, "from 1 on"),
        (&["search", " "], 2, "TEXT is blank"),
        (&["show", "01a1"], 2, "\"01a1\" is not a session id"),
        (&["show", UNKNOWN], 1, "there is no session"),
        (&["show", UNKNOWN, "--messages", "101"], 2, "0..=100"),
        (&[], 2, "Usage"),
    ] {
        let message = failed(&on(&server, arguments), code);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}
