//! The help of `-h`, which fits on a screen. That of `--help` has all commands and settings.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _};

use super::commands::{Cli, HEADER, SUMMARY};
use super::flags;

/// The commands that the short help only names.
const OTHERS: [&str; 7] = [
    "token",
    "check",
    "compact",
    "export",
    "import",
    "completions",
    "man",
];

/// The settings that are used most.
const SETTINGS: &str = "
  --port <PORT>                      Port to listen on, by default 3000
  --host <HOST>                      Address to listen on, by default 127.0.0.1
  --data-dir <DIR>                   Directory of the data, by default data
  --eliza-server-auth-token <TOKEN>  Token that clients must send
  --log-format <FORMAT>              text or json; by default text on a terminal
";

/// Whether the help that the arguments may ask for is the short one.
pub(super) fn is_requested(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "-h")
}

/// Returns the program's arguments with the short help. They are parsed as those with the long one.
pub(super) fn command() -> Command {
    let mut program = flags::add_with_short_help(Cli::command());
    for name in OTHERS {
        program = program.mut_subcommand(name, |command| command.hide(true));
    }
    program = program.mut_subcommands(|command| {
        if flags::uses_many(command.get_name()) {
            without_settings(command)
        } else {
            command
        }
    });
    let others = format!(
        "Other commands: {}.\n`sessiond --help` lists all commands and settings.",
        OTHERS.join(", ")
    );
    program
        .help_template(template())
        .about(SUMMARY)
        .after_help(settings(&others))
}

/// Says in the help of a command where its settings are.
fn without_settings(command: Command) -> Command {
    let name = command.get_name();
    let hint = if flags::uses_all(name) {
        settings(&format!("`sessiond {name} --help` lists all settings."))
    } else {
        format!("`sessiond {name} --help` lists the settings that it uses.")
    };
    let words = command.get_after_help().cloned().unwrap_or_default();
    command.after_help(format!("{hint}\n\n{}", words.ansi()))
}

fn settings(end: &str) -> String {
    format!("{HEADER}Settings:{HEADER:#}{SETTINGS}\n{end}")
}

fn template() -> StyledStr {
    let commands = format!("{HEADER}Commands:{HEADER:#}\n{{subcommands}}");
    format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{commands}{{after-help}}").into()
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::super::command as full_command;
    use super::*;

    fn help(name: &str, width: usize) -> String {
        let mut program = command().term_width(width);
        program.build();
        let help = match name {
            "sessiond" => program.render_help(),
            name => program.find_subcommand_mut(name).unwrap().render_help(),
        };
        help.to_string()
    }

    #[test]
    fn it_fits_on_a_screen() {
        let mut program = command().term_width(80);
        program.build();
        let help = program.render_help().to_string();
        assert!(help.lines().count() <= 25, "{help}");
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        for command in program.get_subcommands_mut() {
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= 25, "{help}");
            for action in command.get_subcommands_mut() {
                let help = action.render_help().to_string();
                assert!(help.lines().count() <= 30, "{help}");
            }
        }
    }

    #[test]
    fn it_names_every_command() {
        let help = help("sessiond", 100);
        let (_, others) = help.split_once("Other commands: ").unwrap();
        let (others, _) = others.split_once(".\n").unwrap();
        let others: Vec<_> = others.split(", ").collect();
        let program = Cli::command();
        for command in program.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = command.get_name();
            let is_listed = help.contains(&format!("\n  {name} "));
            let is_named = others.contains(&name);
            assert!(is_listed != is_named, "{name}: {help}");
        }
    }

    #[test]
    fn its_settings_exist_and_have_these_defaults() {
        for line in SETTINGS.trim().lines() {
            let (flag, text) = line.trim().split_once(' ').unwrap();
            let (_, default) = text.split_once("by default ").unwrap_or_default();
            let program = full_command();
            let arg = program.get_arguments().find(|arg| {
                let names = arg.get_long_and_visible_aliases().unwrap_or_default();
                names.contains(&&flag[2..])
            });
            let defaults = arg.unwrap().get_default_values().iter();
            for value in defaults {
                assert_eq!(value.to_str(), Some(default), "{line}");
            }
        }
        assert!(help("serve", 80).contains(SETTINGS));
        assert!(help("sessiond", 80).contains(SETTINGS));
    }

    #[test]
    fn the_same_arguments_are_parsed() {
        let line = "sessiond --server-port 1 check --session-time-scale 2 --data-dir -h";
        let arguments: Vec<_> = line.split(' ').map(OsString::from).collect();
        assert!(is_requested(&arguments));
        for program in [command(), full_command()] {
            let matches = program.try_get_matches_from(&arguments).unwrap();
            assert_eq!(matches.subcommand_name(), Some("check"));
        }
        let help = command().try_get_matches_from(["sessiond", "-h"]);
        assert_eq!(help.unwrap_err().kind(), ErrorKind::DisplayHelp);
    }
}
