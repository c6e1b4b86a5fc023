//! Commands that need no server and no settings.

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
