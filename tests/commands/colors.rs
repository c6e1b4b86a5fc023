//! Colours: on a terminal, unless the environment disables them.

use std::process::Command;

use super::data::{Home, create_conversations};
use super::support::process;
use super::support::server::Server;
use super::support::terminal::terminal;

/// Whether a text contains a colour or another style. Movements of the cursor do not count.
fn is_colored(text: &str) -> bool {
    text.split("\x1b[").skip(1).any(|sequence| {
        let end = sequence.find(|c: char| !c.is_ascii_digit() && c != ';');
        end.is_some_and(|end| sequence[end..].starts_with('m'))
    })
}

/// Returns the output of a program on a terminal until it ends, or until it contains `until`.
fn on_terminal(mut command: Command, until: &str) -> String {
    let (mut shown, output) = terminal();
    command
        .stdout(output.try_clone().expect("a second handle"))
        .stderr(output);
    read(command, &mut shown, until)
}

/// Returns the output of a program to a pipe until it ends, or until it contains `until`.
fn to_pipe(mut command: Command, until: &str) -> String {
    let (mut read_end, write_end) = std::io::pipe().expect("a pipe");
    let output = write_end.try_clone().expect("a second handle");
    command.stdout(write_end).stderr(output);
    read(command, &mut read_end, until)
}

fn read(mut command: Command, shown: &mut impl std::io::Read, until: &str) -> String {
    let mut child = command.spawn().expect("the binary runs");
    // Closes the handles of the output here, so that reading ends when the program does.
    drop(command);
    let mut text = String::new();
    let mut piece = [0; 4096];
    while until.is_empty() || !text.contains(until) {
        // Reading fails once no program has the terminal open.
        match shown.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&piece[..length])),
        }
    }
    process::kill(&mut child);
    assert!(text.contains(until), "{text}");
    text
}

fn server(home: &Home, variables: &[(&str, &str)]) -> Command {
    let mut command = home.command(&["--server-port", "0"]);
    command.envs(variables.iter().copied());
    command
}

const LISTENS: &str = "listening on http://";

/// The end of what a start shows on a terminal.
const GREETED: &str = "Ctrl-C stops it.";

/// Environments, and whether a terminal has colours in them.
const CASES: [(&[(&str, &str)], bool); 8] = [
    (&[("TERM", "xterm")], true),
    (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
    (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
    (&[("TERM", "xterm"), ("NO_COLOR", "0")], false),
    (&[("TERM", "xterm-256color"), ("NO_COLOR", "no")], false),
    (&[("TERM", "xterm"), ("CLICOLOR", "0")], false),
    (&[("TERM", "dumb")], false),
    (&[("TERM", "dumb"), ("NO_COLOR", "1")], false),
];

#[test]
fn a_start_on_a_terminal_has_colours_unless_the_environment_disables_them() {
    for (variables, expected) in CASES {
        let home = Home::new();
        let mut command = server(&home, variables);
        command.env("MAX_CONNECTIONS", "0");
        let shown = on_terminal(command, GREETED);
        // A line of the log, and one of the greeting.
        for part in ["MAX_CONNECTIONS", "Console"] {
            let line = shown.lines().find(|line| line.contains(part));
            let is_colored = line.map(is_colored);
            assert_eq!(is_colored, Some(expected), "{variables:?}: {shown:?}");
        }
    }
}

#[test]
fn help_and_errors_on_a_terminal_follow_the_same_rules() {
    let home = Home::new();
    for (variables, expected) in CASES {
        for arguments in [["--help"], ["--cannot-be"]] {
            let mut command = home.command(&arguments);
            command.envs(variables.iter().copied());
            let text = on_terminal(command, "");
            assert!(text.contains("Usage"), "{text:?}");
            assert_eq!(is_colored(&text), expected, "{variables:?}: {text:?}");
        }
    }
}

#[test]
fn a_log_in_json_or_to_a_pipe_has_no_colours() {
    let force = [("TERM", "xterm"), ("CLICOLOR_FORCE", "1")];
    let json = [("TERM", "xterm"), ("LOG_FORMAT", "json")];
    let log = on_terminal(server(&Home::new(), &json), LISTENS);
    assert!(!is_colored(&log), "{log:?}");
    for format in ["text", "json"] {
        let home = Home::new();
        let mut command = server(&home, &force);
        command.env("LOG_FORMAT", format);
        let log = to_pipe(command, LISTENS);
        assert!(!log.contains('\x1b'), "{log:?}");
    }
}

#[tokio::test]
async fn progress_on_a_terminal_has_no_colours_and_a_dumb_terminal_has_no_progress() {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    let home = Home::with_data_of(&server);
    let check = |variables: &[(&str, &str)]| {
        let mut command = home.command(&["check"]);
        command.envs(variables.iter().copied());
        on_terminal(command, "")
    };
    let text = check(&[("TERM", "xterm"), ("NO_COLOR", "1")]);
    assert!(text.contains("\x1b[") && !is_colored(&text), "{text:?}");
    let text = check(&[("TERM", "dumb")]);
    assert!(!text.contains('\x1b'), "{text:?}");
}
