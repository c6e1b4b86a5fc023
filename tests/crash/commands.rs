//! Commands that need no server and no settings.

use std::fs;

use crate::support::server::Server;

#[test]
fn a_token_needs_no_valid_settings_and_is_another_one_each_time() {
    let tokens = [0; 2].map(|_| {
        let finished = Server::builder()
            .env("SERVER_PORT", "no port")
            .arg("token")
            .run();
        assert!(finished.status.success(), "{}", finished.log);
        finished.log.trim().to_owned()
    });
    assert_ne!(tokens[0], tokens[1]);
    assert!(tokens.iter().all(|token| token.len() == 64));
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let finished = Server::builder().arg("completions").arg(shell).run();
        assert!(finished.status.success(), "{}", finished.log);
        assert!(finished.log.contains("healthcheck"), "{shell}");
        assert!(finished.log.contains("server-port"), "{shell}");
        assert!(!finished.log.contains("time-scale"), "{shell}");
    }
    let finished = Server::builder().arg("completions").arg("tcsh").run();
    assert!(!finished.status.success());
    assert!(
        finished.log.contains("[possible values:"),
        "{}",
        finished.log
    );
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let pages = tempfile::tempdir().expect("a temporary directory");
    let directory = pages.path();
    let finished = Server::builder().arg("man").arg(directory).run();
    assert!(finished.status.success(), "{}", finished.log);
    let page = |name: &str| {
        let page = fs::read_to_string(directory.join(name)).expect("a page");
        let (_, rest) = page.split_once(".SH NAME\n").expect("a section");
        // What `apropos` shows is one line.
        let mut lines = rest.lines().skip(1);
        assert_eq!(lines.next(), Some(".SH SYNOPSIS"), "{page}");
        page
    };
    let program = page("sessiond.1");
    for command in ["serve", "agents", "agents-new", "backup", "man"] {
        let page = page(&format!("sessiond-{command}.1"));
        assert!(
            page.contains(&format!(".TH sessiond-{command} 1")),
            "{page}"
        );
        let is_named = program.contains(&format!(r"sessiond\-{command}(1)"));
        assert!(is_named || command == "agents-new", "{program}");
    }
    assert!(!program.contains("server\\-port"), "{program}");
    let serve = page("sessiond-serve.1");
    assert!(serve.contains("server\\-port"), "{serve}");
    assert!(!serve.contains("time\\-scale"), "{serve}");

    let finished = Server::builder().arg("man").arg("/nowhere").run();
    assert_eq!(finished.status.code(), Some(1));
    let reason = "the pages cannot be written to /nowhere: ";
    assert!(finished.log.contains(reason), "{}", finished.log);
}

#[test]
fn the_help_of_a_command_is_about_that_command() {
    let help = |command| Server::builder().arg(command).arg("--help").run().log;
    assert!(!help("token").contains("SERVER_PORT"));
    let backup = help("backup");
    assert!(backup.contains("The new file"), "{backup}");
    assert!(backup.contains("--data-dir"), "{backup}");
    assert!(!backup.contains("--cors-origin"), "{backup}");
    // Values that it does not list are accepted all the same.
    let builder = Server::builder().arg("--cors-origin=*").arg("token");
    let finished = builder.arg("--cors-origin=*").run();
    assert!(finished.status.success(), "{}", finished.log);
}
