//! `jwt`: tokens of users for the server with the same settings.

use std::io::Read as _;
use std::process::Output;

use serde_json::Value;

use super::data::{Home, USER, client, succeeded};
use super::support::server::Server;
use super::support::terminal::terminal;

const KEY: &str = "the tests' key, of thirty-two bytes and more";

fn jwt(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = home.command(&[&["jwt"], arguments].concat());
    command.envs(variables.iter().copied());
    command.output().expect("it runs")
}

async fn who(server: &Server, token: &str) -> Value {
    let answer = client().get(server.at("/api/auth/me")).bearer_auth(token);
    let answer = answer.send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn the_server_with_the_same_settings_accepts_the_token() {
    let claims = [
        ("JWT_ISSUER", "https://a.example,b"),
        ("JWT_AUDIENCE", "chat,other"),
    ];
    let mut builder = Server::builder().env("JWT_SECRET", KEY);
    for (name, value) in claims {
        builder = builder.env(name, value);
    }
    let server = builder.start();
    let home = Home::new();
    let key_file = home.path("key");
    std::fs::write(&key_file, KEY).expect("a file");
    let key_file = key_file.to_str().expect("UTF-8");
    for secret in [("JWT_SECRET", KEY), ("JWT_SECRET_FILE", key_file)] {
        let variables = [secret, claims[0], claims[1]];
        let output = jwt(&home, &[USER, "--expires", "30s"], &variables);
        // Nothing but the token, so that scripts can use it.
        assert!(output.stderr.is_empty(), "{output:?}");
        let token = succeeded(&output);
        let me = who(&server, token.trim()).await;
        assert_eq!(me["userId"], USER, "{me}");
    }
    let other = jwt(&home, &[USER], &[("JWT_SECRET", KEY)]);
    let refused = who(&server, succeeded(&other).trim()).await;
    assert_eq!(refused["error"]["code"], "UNAUTHORIZED", "{refused}");
}

#[test]
fn what_is_wrong_is_said_and_nothing_printed() {
    let home = Home::new();
    let key = ("JWT_SECRET", KEY);
    let uuid = ("JWT_SUBJECT", "uuid");
    for (arguments, variables, code, expected) in [
        (&["ada"][..], vec![], 1, "set it (or JWT_SECRET_FILE)"),
        (&["ada"], vec![("JWT_ISSUER", "a")], 1, "set JWT_SECRET"),
        (&[], vec![key], 2, "<USER>"),
        (&[" "], vec![key], 2, "\" \" has a sub that is blank"),
        (
            &["ada"],
            vec![key, uuid],
            2,
            "not a UUID, as JWT_SUBJECT=uuid requires",
        ),
        (
            &["ada", "--expires", "1w"],
            vec![key],
            2,
            "such as 30s, 15m, 1h or 7d",
        ),
        (
            &["ada", "--expires", "366d"],
            vec![key],
            2,
            "expected at most 365d",
        ),
        (
            &["ada"],
            vec![key, ("JWT_SUBJECT", "sub")],
            1,
            "invalid JWT_SUBJECT",
        ),
    ] {
        let output = jwt(&home, arguments, &variables);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_short_key_is_warned_of() {
    let home = Home::new();
    let output = jwt(&home, &["ada"], &[("JWT_SECRET", "short")]);
    succeeded(&output);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("shorter than the 32 bytes"), "{message}");
}

#[test]
fn a_terminal_is_told_whom_the_token_identifies() {
    let home = Home::new();
    let (mut shown, terminal) = terminal();
    let mut command = home.command(&["jwt", "ada@example.com"]);
    command.env("JWT_SECRET", KEY).stderr(terminal);
    let output = command.output().expect("it runs");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).matches('.').count(),
        2
    );
    let mut note = [0; 1024];
    let length = shown.read(&mut note).expect("a note");
    let note = String::from_utf8_lossy(&note[..length]);
    // The UUID that ElizaOS derives.
    let user = "a8bb4cce-bc75-0e53-96b9-2032deb9317b";
    assert!(
        note.contains(&format!("a token of the user {user}, until 20")),
        "{note}"
    );
}
