//! The settings as flags of the commands.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};

use super::output::note;
use crate::settings::{Config, Layers, SETTINGS, Setting};

const DATABASE: [&str; 2] = ["DATA_DIR", "SESSIOND_CACHE_MB"];

/// What a server within a command uses.
const EMBEDDED: [&str; 12] = [
    "DATA_DIR",
    "SESSIOND_CACHE_MB",
    "MAX_PENDING_TURNS",
    "MAX_SESSIONS_PER_USER",
    "SESSION_DEFAULT_TIMEOUT_MINUTES",
    "SESSION_MIN_TIMEOUT_MINUTES",
    "SESSION_MAX_TIMEOUT_MINUTES",
    "SESSION_MAX_DURATION_MINUTES",
    "SESSION_WARNING_THRESHOLD_MINUTES",
    "SESSION_CLEANUP_INTERVAL_MINUTES",
    "SESSION_RETENTION_MINUTES",
    "SESSION_TIME_SCALE",
];

const JWT: [&str; 6] = [
    "JWT_SECRET",
    "JWT_SECRET_FILE",
    "JWT_ISSUER",
    "JWT_ISSUER_WHITELIST",
    "JWT_AUDIENCE",
    "JWT_SUBJECT",
];
const ADDRESS: [&str; 2] = ["SERVER_HOST", "SERVER_PORT"];

/// The short help of a command lists at most this many settings.
const MAX_IN_SHORT_HELP: usize = 2;

/// Returns the settings that a command uses; `None` for all.
fn used(command: &str) -> Option<&'static [&'static str]> {
    match command {
        "serve" | "settings" => None,
        "agents" => Some(&["DATA_DIR"]),
        "chat" | "sessions" => Some(&EMBEDDED),
        "healthcheck" => Some(&ADDRESS),
        "jwt" => Some(&JWT),
        "check" | "compact" | "backup" | "restore" | "export" | "import" => Some(&DATABASE),
        _ => Some(&[]),
    }
}

/// Reads the configuration of a command: the settings that it uses.
pub(super) fn config(command: &str, matches: &ArgMatches) -> anyhow::Result<Config> {
    let layers = Layers::from_process(set_flags(matches))?;
    Ok(match used(command) {
        None => Config::read(layers)?,
        Some(used) => {
            for name in unused(matches, used) {
                note(&format!("{name} has no effect on `sessiond {command}`"));
            }
            Config::read_only(layers, used)?
        }
    })
}

/// Returns the flags that were set although a command does not use their settings.
fn unused(matches: &ArgMatches, used: &[&str]) -> Vec<String> {
    let set = set_flags(matches);
    let flags = SETTINGS.iter().filter(|setting| {
        let name = setting.name();
        set.contains_key(name) && !used.contains(&name)
    });
    flags
        .map(|setting| format!("--{}", setting.flag()))
        .collect()
}

/// Adds each setting as a flag to every command, before or after its name, so that the same flags
/// work for all of them. The help of a command lists the settings that it uses.
pub(super) fn add_all(program: Command) -> Command {
    with_flags(program, |command, setting| {
        let is_listed = is_listed(command, setting);
        Some(flag(setting).hide(!is_listed).global(true))
    })
}

/// Whether a command uses all settings.
pub(super) fn uses_all(command: &str) -> bool {
    used(command).is_none()
}

/// Whether a command uses so many settings that its short help does not list them.
pub(super) fn uses_many(command: &str) -> bool {
    used(command).is_none_or(|used| used.len() > MAX_IN_SHORT_HELP)
}

/// Does the same as [`add_all`], but the help of commands that use many settings lists none.
pub(super) fn add_with_short_help(program: Command) -> Command {
    with_flags(program, |command, setting| {
        let is_listed = !uses_many(command) && is_listed(command, setting);
        Some(flag(setting).hide(!is_listed).global(true))
    })
}

/// Adds only the flags that the help lists.
pub(super) fn add_listed(program: Command) -> Command {
    with_flags(program, |command, setting| {
        is_listed(command, setting).then(|| flag(setting))
    })
}

fn is_listed(command: &str, setting: &Setting) -> bool {
    let is_used = used(command).is_none_or(|used| used.contains(&setting.name()));
    is_used && !setting.arg().is_hide_set()
}

fn with_flags(program: Command, flag: impl Fn(&str, &Setting) -> Option<Arg>) -> Command {
    let flags = |command: &str| -> Vec<Arg> {
        let flags = SETTINGS.iter().map(|setting| flag(command, setting));
        flags.flatten().collect()
    };
    program.args(flags("serve")).mut_subcommands(|command| {
        let of_command = flags(command.get_name());
        let actions = of_command.clone();
        let command = command.args(of_command);
        command.mut_subcommands(|action| action.args(actions.clone()))
    })
}

/// Returns the flag of a setting. Its value is parsed later, together with those of the other
/// layers.
fn flag(setting: &Setting) -> Arg {
    let arg = setting.arg().clone();
    arg.value_name("VALUE")
        .value_parser(value_parser!(OsString))
        .allow_hyphen_values(!setting.is_switch())
        .hide_env_values(true)
}

/// Returns the values of the flags that were set, by the names of the settings.
fn set_flags(matches: &ArgMatches) -> HashMap<String, OsString> {
    let set = SETTINGS.iter().filter_map(|setting| {
        let id = setting.arg().get_id().as_str();
        let is_set = matches.value_source(id) == Some(ValueSource::CommandLine);
        let value = matches.get_one::<OsString>(id).filter(|_| is_set)?;
        Some((setting.name().to_owned(), value.clone()))
    });
    set.collect()
}

/// Joins switches with a value in the next argument, as in `--sessiond-insecure true`. To clap, the
/// value could as well be the name of a command.
pub(super) fn join_switches(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
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

    /// Returns the arguments of the example in the help of a command.
    fn example(command: &Command) -> ArgMatches {
        let words = command.get_after_help().unwrap().to_string();
        let (_, example) = words.split_once(":\n  ").unwrap();
        let example = example.lines().next().unwrap();
        let (_, arguments) = example.split_once("sessiond ").unwrap();
        let (arguments, _) = arguments.split_once([')', '>']).unwrap_or((arguments, ""));
        let line = ["sessiond"].into_iter().chain(arguments.split_whitespace());
        super::super::command().try_get_matches_from(line).unwrap()
    }

    /// Returns the settings whose flags are in a text.
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
            // Lines are wrapped between words.
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
    fn the_help_of_a_command_lists_the_settings_that_it_uses() {
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
            let matches = example(command);
            assert_eq!(matches.subcommand_name(), Some(command.get_name()));
            for action in command.get_subcommands() {
                let matches = example(action);
                let (_, matches) = matches.subcommand().unwrap();
                assert_eq!(matches.subcommand_name(), Some(action.get_name()));
            }
        }
    }

    #[test]
    fn every_argument_has_a_help_text() {
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
    fn a_setting_may_precede_or_follow_a_command() {
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
            let flags = set_flags(matches);
            assert_eq!(flags["DATA_DIR"], *"/d", "{line}");
            assert_eq!(flags["SERVER_PORT"], *"0", "{line}");
        }
        for line in [
            "sessiond agents new X --data-dir /d",
            "sessiond agents --data-dir /d new X",
            "sessiond --data-dir /d agents new X",
            "sessiond --data-dir /other agents --data-dir /d new X",
        ] {
            let matches = command().try_get_matches_from(line.split(' ')).unwrap();
            let (_, matches) = matches.subcommand().unwrap();
            assert_eq!(set_flags(matches)["DATA_DIR"], *"/d", "{line}");
        }
        let token = "sessiond --server-port 0 token --data-dir /d";
        assert!(command().try_get_matches_from(token.split(' ')).is_ok());
    }

    #[test]
    fn the_value_of_a_switch_may_be_a_separate_argument() {
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
            let arguments = join_switches(line.split(' ').map(OsString::from));
            let matches = super::super::command()
                .try_get_matches_from(arguments)
                .unwrap();
            let (command, matches) = matches.subcommand().unwrap_or(("serve", &matches));
            assert_eq!(command, name, "{line}");
            assert_eq!(set_flags(matches)["SESSIOND_INSECURE"], *value, "{line}");
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
            let mut program = add_listed(Cli::command());
            clap_complete::generate(shell, &mut program, "sessiond", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(!script.contains("session-time-scale"), "{shell}");
            let count = script.matches("data-dir").count();
            assert!(count > 0, "{shell}");
            assert!(script.contains("jwt-secret"), "{shell}");
        }
    }
}
