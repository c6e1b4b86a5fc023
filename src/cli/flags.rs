//! The settings as flags of the commands.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Config, SETTINGS, Setting, Source};

/// Where the database is, and how it is read.
const DATABASE: [&str; 2] = ["DATA_DIR", "SESSIOND_CACHE_MB"];

/// Where the server listens.
const ADDRESS: [&str; 2] = ["SERVER_HOST", "SERVER_PORT"];

/// The program with its settings. Each is a flag of every command, before its name or behind it,
/// so that a line which works for one command works for all; help lists those that matter to it.
pub(super) fn accepted(program: Command) -> Command {
    with_flags(program, |flag, is_listed| {
        Some(flag.hide(!is_listed).global(true))
    })
}

/// The program with the flags that help lists, and no others.
pub(super) fn listed(program: Command) -> Command {
    with_flags(program, |flag, is_listed| is_listed.then_some(flag))
}

/// The configuration that these flags are a part of.
pub(super) fn config(matches: &ArgMatches) -> anyhow::Result<Config> {
    let mut flags = HashMap::new();
    for setting in SETTINGS {
        if let Some(value) = matches.get_one::<String>(setting.name) {
            flags.insert(setting.name.to_owned(), value.clone());
        }
    }
    Ok(Config::read(Source::of_process(flags)?)?)
}

/// The arguments, with the value of a switch joined to it where it stands apart: clap would take
/// the name of a command for it as well.
pub(super) fn joined(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let switches: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| setting.is_switch)
        .collect();
    let is_switch = |argument: &OsString| {
        switches
            .iter()
            .any(|switch| *argument == *format!("--{}", switch.flag()))
    };
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let is_value = ["true", "false", "1", "0"].iter().any(|it| argument == *it);
        match joined.last_mut().filter(|last| is_value && is_switch(last)) {
            Some(switch) => {
                switch.push("=");
                switch.push(argument);
            }
            None => joined.push(argument),
        }
    }
    joined
}

fn with_flags(program: Command, made: impl Fn(Arg, bool) -> Option<Arg>) -> Command {
    let flags = |command: &str| -> Vec<Arg> {
        let made = |setting| made(arg(setting), is_listed(command, setting));
        SETTINGS.iter().filter_map(made).collect()
    };
    program.args(flags("serve")).mut_subcommands(|command| {
        let flags = flags(command.get_name());
        command.args(flags)
    })
}

/// Whether a setting matters to a command, whose help names it then.
fn is_listed(command: &str, setting: &Setting) -> bool {
    let name = &setting.name;
    match command {
        _ if setting.is_hidden => false,
        "serve" => true,
        "agents" => *name == "DATA_DIR",
        "healthcheck" => ADDRESS.contains(name),
        "check" | "compact" | "backup" | "restore" | "export" | "import" => DATABASE.contains(name),
        _ => false,
    }
}

fn arg(setting: &Setting) -> Arg {
    let help = format!(
        "{} [env: {}] [default: {}]",
        setting.help, setting.name, setting.default
    );
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .help(help)
        .value_name("VALUE")
        .allow_hyphen_values(true)
        .action(ArgAction::Set)
        .help_heading(heading(setting.name));
    if setting.is_switch {
        return arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    arg
}

/// Under what a setting stands in the help.
fn heading(name: &str) -> &'static str {
    match name {
        "SERVER_HOST" | "SERVER_PORT" | "MAX_CONNECTIONS" | "KEEP_ALIVE_SECONDS" | "LOG_FORMAT" => {
            "Server"
        }
        "DATA_DIR" | "SESSIOND_CACHE_MB" => "Data",
        "MAX_PENDING_TURNS" => "Agents",
        _ if name.starts_with("SESSION_") || name == "CLEAR_SESSIONS_ON_SHUTDOWN" => "Sessions",
        _ => "Access",
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap_complete::Shell;

    use super::super::command;
    use super::super::commands::Cli;
    use super::*;

    fn help(name: &str) -> String {
        let mut program = command();
        program.build();
        let command = program.find_subcommand_mut(name).unwrap();
        command.render_help().to_string()
    }

    /// The settings whose flags a text names.
    fn named(text: &str) -> Vec<&'static str> {
        let flag = |setting: &Setting| format!("--{} ", setting.flag());
        let text = text.replace(['[', '=', '\n'], " ");
        let settings = SETTINGS
            .iter()
            .filter(|setting| text.contains(&flag(setting)));
        settings.map(|setting| setting.name).collect()
    }

    #[test]
    fn help_names_every_setting_with_its_variable_and_default() {
        command().debug_assert();
        let program = command().render_help().to_string();
        for help in [program, help("serve")] {
            for setting in SETTINGS {
                let flag = format!("--{}", setting.flag());
                let is_named = help.contains(&flag) && help.contains(setting.name);
                assert_eq!(is_named, !setting.is_hidden, "{}", setting.name);
            }
        }
    }

    #[test]
    fn the_help_of_a_command_lists_the_settings_that_matter_to_it() {
        for (name, settings) in [
            ("token", vec![]),
            ("completions", vec![]),
            ("agents", vec!["DATA_DIR"]),
            ("healthcheck", ADDRESS.to_vec()),
            ("check", DATABASE.to_vec()),
            ("restore", DATABASE.to_vec()),
            ("backup", DATABASE.to_vec()),
            ("export", DATABASE.to_vec()),
        ] {
            let help = help(name);
            assert_eq!(named(&help), settings, "{name}: {help}");
        }
    }

    #[test]
    fn the_help_of_every_command_has_an_example() {
        let program = Cli::command();
        for command in program.get_subcommands() {
            let words = command.get_after_help().unwrap().to_string();
            let example = words.strip_prefix("Example:\n  ").unwrap();
            let (_, arguments) = example.split_once("sessiond ").unwrap();
            let (arguments, _) = arguments.split_once([')', '>']).unwrap_or((arguments, ""));
            let line = ["sessiond"].into_iter().chain(arguments.split_whitespace());
            let matches = super::super::command().try_get_matches_from(line).unwrap();
            assert_eq!(matches.subcommand_name(), Some(command.get_name()));
        }
    }

    #[test]
    fn every_argument_has_words() {
        let mut program = command();
        program.build();
        for command in program
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            for arg in command.get_arguments() {
                let name = command.get_name();
                assert!(arg.get_help().is_some(), "{name} {}", arg.get_id());
            }
        }
    }

    #[test]
    fn a_setting_is_taken_before_a_command_and_behind_it() {
        for line in [
            "sessiond --data-dir /d --server-port 0",
            "sessiond --data-dir /d serve --server-port 0",
            "sessiond serve --data-dir /d --server-port 0",
            "sessiond --server-port 0 check --data-dir /d",
            "sessiond check --server-port=0 --data-dir=/d --session-time-scale 60",
            "sessiond --data-dir /d backup /f --server-port 0",
            "sessiond --data-dir /other restore --data-dir /d --server-port 0 /f",
        ] {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            let (_, matches) = matches.subcommand().unwrap_or(("serve", &matches));
            let value = |name| matches.get_one::<String>(name).map(String::as_str);
            assert_eq!(value("DATA_DIR"), Some("/d"), "{line}");
            assert_eq!(value("SERVER_PORT"), Some("0"), "{line}");
        }
        let token = "sessiond --server-port 0 token --data-dir /d";
        assert!(command().try_get_matches_from(token.split(' ')).is_ok());
    }

    #[test]
    fn the_value_of_a_switch_may_stand_apart_and_a_command_is_none() {
        for (line, name, value) in [
            ("sessiond --sessiond-insecure true", "serve", "true"),
            ("sessiond --sessiond-insecure 0 serve", "serve", "0"),
            ("sessiond --sessiond-insecure=false", "serve", "false"),
            ("sessiond --sessiond-insecure", "serve", "true"),
            ("sessiond --sessiond-insecure check", "check", "true"),
            ("sessiond check --sessiond-insecure false", "check", "false"),
            (
                "sessiond --sessiond-insecure --server-port 1",
                "serve",
                "true",
            ),
        ] {
            let arguments = joined(line.split(' ').map(OsString::from));
            let matches = command().try_get_matches_from(arguments).unwrap();
            let (given, matches) = matches.subcommand().unwrap_or(("serve", &matches));
            let insecure = matches.get_one::<String>("SESSIOND_INSECURE");
            assert_eq!(
                (given, insecure.map(String::as_str)),
                (name, Some(value)),
                "{line}"
            );
        }
    }

    #[test]
    fn completions_offer_what_help_lists() {
        for shell in [
            Shell::Bash,
            Shell::Elvish,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Zsh,
        ] {
            let mut script = Vec::new();
            let mut program = listed(Cli::command());
            clap_complete::generate(shell, &mut program, "sessiond", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(!script.contains("session-time-scale"), "{shell}");
            let count = script.matches("data-dir").count();
            assert!(count > 0, "{shell}");
            assert!(script.contains("jwt-secret"), "{shell}");
        }
    }
}
