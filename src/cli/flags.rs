//! The settings as flags of the commands.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::settings::{Config, Layers, SETTINGS, Setting};

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
    Ok(Config::read(Layers::from_process(given(matches))?)?)
}

/// The values of the flags that were given, by the names of the settings.
fn given(matches: &ArgMatches) -> HashMap<String, OsString> {
    let given = SETTINGS.iter().filter_map(|setting| {
        let id = setting.arg().get_id().as_str();
        let is_given = matches.value_source(id) == Some(ValueSource::CommandLine);
        let value = matches.get_one::<OsString>(id).filter(|_| is_given)?;
        Some((setting.name().to_owned(), value.clone()))
    });
    given.collect()
}

/// The arguments, with the value of a switch joined to it where it stands apart: clap would take
/// the name of a command for it as well.
pub(super) fn joined(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let switches = SETTINGS.iter().filter(|setting| setting.is_switch());
    let switches: Vec<_> = switches.map(|it| format!("--{}", it.flag())).collect();
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let is_value = ["true", "false", "1", "0"].iter().any(|it| argument == *it);
        match joined.last_mut() {
            Some(last) if is_value && switches.iter().any(|switch| *last == **switch) => {
                last.push("=");
                last.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

fn with_flags(program: Command, made: impl Fn(Arg, bool) -> Option<Arg>) -> Command {
    let flags = |command: &str| -> Vec<Arg> {
        let made = |setting| made(flag(setting), is_listed(command, setting));
        SETTINGS.iter().filter_map(made).collect()
    };
    program.args(flags("serve")).mut_subcommands(|command| {
        let flags = flags(command.get_name());
        command.args(flags)
    })
}

/// Whether a setting matters to a command, whose help names it then.
fn is_listed(command: &str, setting: &Setting) -> bool {
    let name = &setting.name();
    match command {
        _ if setting.arg().is_hide_set() => false,
        "serve" => true,
        "agents" => *name == "DATA_DIR",
        "healthcheck" => ADDRESS.contains(name),
        "check" | "compact" | "backup" | "restore" | "export" | "import" => DATABASE.contains(name),
        _ => false,
    }
}

/// The flag of a setting. Its value is read together with those of the environment and of `.env`.
fn flag(setting: &Setting) -> Arg {
    let arg = setting.arg().clone();
    arg.value_name("VALUE")
        .value_parser(value_parser!(OsString))
        .allow_hyphen_values(!setting.is_switch())
        .hide_env_values(true)
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
        settings.map(Setting::name).collect()
    }

    #[test]
    fn help_names_every_setting_with_its_variable_and_default() {
        command().debug_assert();
        let program = command().render_help().to_string();
        for help in [program, help("serve")] {
            // Lines are broken between words.
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            for setting in SETTINGS.iter() {
                let name = setting.name();
                let is_named = help.contains(&format!("--{}", setting.flag()))
                    && help.contains(&format!("[env: {name}]"));
                assert_eq!(is_named, !setting.arg().is_hide_set(), "{name}");
                for default in setting.arg().get_default_values() {
                    let default = format!("[env: {name}] [default: {}]", default.display());
                    assert_eq!(help.contains(&default), is_named, "{default}");
                }
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
            "sessiond --data-dir /d --port 0",
            "sessiond check --data-dir /d --port=0",
        ] {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            let (_, matches) = matches.subcommand().unwrap_or(("serve", &matches));
            let flags = given(matches);
            assert_eq!(flags["DATA_DIR"], *"/d", "{line}");
            assert_eq!(flags["SERVER_PORT"], *"0", "{line}");
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
            let matches = super::super::command()
                .try_get_matches_from(arguments)
                .unwrap();
            let (command, matches) = matches.subcommand().unwrap_or(("serve", &matches));
            assert_eq!(command, name, "{line}");
            assert_eq!(given(matches)["SESSIOND_INSECURE"], *value, "{line}");
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
