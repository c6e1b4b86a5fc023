//! What `serve` prints on a terminal once it listens, and that nothing else gets it.

use std::process::Command;

use super::data::{Home, succeeded};
use super::support::terminal::OnTerminal;

const END: &str = "Ctrl-C stops it.";

fn server(home: &Home, variables: &[(&str, &str)]) -> Command {
    let mut command = home.command(&["--port", "0", "--host", "127.0.0.1"]);
    command
        .envs(variables.iter().copied())
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    command
}

/// Returns what a server shows on a terminal until it contains a text, and what it shows until it
/// has stopped after that.
fn shown_until(command: Command, until: &str) -> (String, String) {
    let mut server = OnTerminal::start(command);
    server.expect(until);
    let before = server.shown();
    server.signal("TERM");
    let (status, all) = server.finish();
    assert!(status.success(), "{all}");
    let (_, after) = all.split_at(before.len());
    (before, after.to_owned())
}

#[test]
fn a_terminal_shows_where_the_server_is_then_the_log() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("data/agents")).expect("a directory");
    std::fs::write(
        home.path("data/agents/ollie.json"),
        r#"{"name": "Ol\u001b[2Jlie", "settings": {"backend": {"type": "openai", "model": "m", "baseUrl": "http://127.0.0.1:9/v1"}}}"#,
    )
    .expect("a file");
    let (shown, log) = shown_until(server(&home, &[]), END);
    let (_, port) = shown.split_once("http://127.0.0.1:").expect("an address");
    let (port, _) = port.split_once('\n').expect("the end of the line");
    let data = home.path("data").display().to_string();
    for line in [
        format!("sessiond {}", env!("CARGO_PKG_VERSION")),
        format!("  Console    http://127.0.0.1:{port}"),
        format!("  API docs   http://127.0.0.1:{port}/docs"),
        "  Agents     Eliza (built-in rules, no model)".to_owned(),
        "             Ol [2Jlie (m)".to_owned(),
        "  Access     no token: only this machine can connect".to_owned(),
    ] {
        assert!(shown.lines().any(|it| it == line), "{line:?} in {shown}");
    }
    assert!(
        shown.contains(&format!("  Data       {data} (0 sessions, ")),
        "{shown}"
    );
    assert!(!shown.contains('\x1b'), "{shown:?}");
    // Of that, the log only repeats the address, which programs read there.
    let all = format!("{shown}{log}");
    assert!(
        all.contains(&format!("listening on http://127.0.0.1:{port}")),
        "{all}"
    );
    assert!(!all.contains(" agent name="), "{all}");
    assert!(log.contains("stopped"), "{log}");
    assert!(
        !shown.contains("verified"),
        "the log follows the greeting: {shown}"
    );
}

#[test]
fn it_says_what_protects_the_server_and_how_it_stopped() {
    let home = Home::new();
    let secrets = [
        ("ELIZA_SERVER_AUTH_TOKEN", "a secret of sixteen letters"),
        ("JWT_SECRET", "the tests' key, of thirty-two bytes and more"),
    ];
    let (shown, _) = shown_until(server(&home, &secrets), END);
    assert!(
        shown.contains("Access     requires the server token or a user's JWT"),
        "{shown}"
    );
    assert!(
        !shown.contains("secret of sixteen") && !shown.contains("tests' key"),
        "{shown}"
    );
    assert!(!shown.contains("Last stop"), "{shown}");
    let insecure = [("SERVER_HOST", "0.0.0.0"), ("SESSIOND_INSECURE", "1")];
    let mut command = home.command(&["--port", "0"]);
    command
        .envs(insecure)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    let (shown, _) = shown_until(command, END);
    assert!(
        shown.contains("anyone who can connect may do everything"),
        "{shown}"
    );
    assert!(
        shown.contains(", and every other address of this machine"),
        "{shown}"
    );
}

#[test]
fn a_log_in_json_has_no_greeting_on_a_terminal() {
    let home = Home::new();
    let json = [("LOG_FORMAT", "json")];
    let (shown, log) = shown_until(server(&home, &json), "listening on http://");
    for line in shown.lines().chain(log.lines()) {
        assert!(
            line.is_empty() || line.starts_with('{') || line.ends_with('}'),
            "{line}"
        );
    }
    assert!(
        !shown.contains(END) && shown.contains(r#""message":"agent""#),
        "{shown}"
    );
    // Commands have none either.
    assert!(!succeeded(&home.run(&["agents"])).contains(END));
}
