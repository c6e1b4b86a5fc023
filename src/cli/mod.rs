//! The command line.

mod agents;
mod ask;
mod backup;
mod bar;
mod check;
mod compact;
mod completions;
mod export;
mod healthcheck;
mod import;
mod place;
mod restore;
mod serve;
mod token;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Config, SETTINGS, Source};

/// Runs the program; returns how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let (name, matches) = matches.subcommand().unwrap_or(("serve", &matches));
    // These need no settings, and so no valid ones either.
    let simple = match name {
        "token" => Some(token::run()),
        "completions" => {
            completions::run(matches);
            Some(Ok(()))
        }
        _ => None,
    };
    let configured = || {
        config(matches).and_then(|config| match name {
            "agents" => agents::run(&config, matches.get_flag("probe")),
            "healthcheck" => healthcheck::run(&config),
            "check" => check::run(&config),
            "compact" => compact::run(&config),
            "backup" => backup::run(&config, file(matches)?),
            "restore" => restore::run(&config, file(matches)?, matches.get_flag(FORCE)),
            "export" => export::run(
                &config,
                matches.get_one::<String>(SESSION).map(String::as_str),
            ),
            "import" => import::run(&config, file(matches).ok()),
            _ => serve::run(&config),
        })
    };
    match simple.unwrap_or_else(configured) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// The program's arguments.
#[must_use]
pub fn command() -> Command {
    let styles = Styles::styled()
        .header(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default().bold());
    Command::new("sessiond")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "A self-hosted, durable server of the ElizaOS Sessions API\n\n\
             Without a command it serves: start it, and open http://127.0.0.1:3000 in a browser. \
             Nothing needs to be set for that.",
        )
        .after_help(
            "Each setting is a flag, an environment variable, or a line of a .env file in the \
             working directory, in this order of precedence. RUST_LOG sets the log's levels.\n\n\
             To serve other machines:\n  \
             ELIZA_SERVER_AUTH_TOKEN=$(sessiond token) sessiond --server-host 0.0.0.0",
        )
        .styles(styles)
        .args(SETTINGS.iter().map(arg))
        .subcommand(Command::new("serve").about("Serve the API; the same as no command"))
        .subcommand(
            Command::new("agents")
                .about("List the agents with their backends")
                .arg(
                    Arg::new("probe")
                        .long("probe")
                        .help("Ask each of them one short question; the exit code is 1 if one does not answer")
                        .action(ArgAction::SetTrue),
                ),
        )
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the running server how it is; the exit code is 0 when it is healthy"),
        )
        .subcommand(Command::new("token").about("Print a fresh random token"))
        .subcommand(completions::command())
        .subcommands(data_commands())
}

const FILE: &str = "FILE";
const FORCE: &str = "force";
const SESSION: &str = "session";

/// The commands that work on the database in `DATA_DIR`.
fn data_commands() -> [Command; 6] {
    let file = || {
        Arg::new(FILE)
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
    };
    let force = Arg::new(FORCE)
        .long("force")
        .action(ArgAction::SetTrue)
        .help("Replace the database that is there");
    let session = Arg::new(SESSION)
        .long("session")
        .value_name("ID")
        .help("Only this session");
    [
        Command::new("check").about(
            "Check every page, record and index row; a line for each fault, and the exit code 1",
        ),
        Command::new("compact").about("Make the database as small as it can be"),
        Command::new("backup")
            .about("Write a checked copy to a new file; a running server is asked for it")
            .arg(file()),
        Command::new("restore")
            .about("Put a backup in the place of the database")
            .arg(file())
            .arg(force),
        Command::new("export")
            .about("Print sessions as JSON Lines; a running server is asked for them")
            .arg(session),
        Command::new("import")
            .about("Make a database of exported lines, from a file or standard input")
            .arg(file().required(false)),
    ]
}

fn file(matches: &ArgMatches) -> anyhow::Result<&Path> {
    let path = matches.get_one::<PathBuf>(FILE);
    path.map(PathBuf::as_path).context("a file must be named")
}

/// A line of a command's answer.
fn say(text: &str) {
    // Whoever closed standard output does not want to know.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn arg(setting: &crate::config::Setting) -> Arg {
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
        .hide(setting.is_hidden)
        .help_heading(heading(setting.name))
        .global(true);
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
        "SERVER_HOST" | "SERVER_PORT" | "MAX_CONNECTIONS" | "LOG_FORMAT" => "Server",
        "DATA_DIR" | "SESSIOND_CACHE_MB" => "Data",
        "MAX_PENDING_TURNS" => "Agents",
        _ if name.starts_with("SESSION_") || name == "CLEAR_SESSIONS_ON_SHUTDOWN" => "Sessions",
        _ => "Access",
    }
}

fn config(matches: &ArgMatches) -> anyhow::Result<Config> {
    let mut flags = HashMap::new();
    for setting in SETTINGS {
        if let Some(value) = matches.get_one::<String>(setting.name) {
            flags.insert(setting.name.to_owned(), value.clone());
        }
    }
    Ok(Config::read(Source::of_process(flags)?)?)
}

#[allow(clippy::print_stderr)] // The log may not have been started.
fn complain(error: &anyhow::Error) {
    eprintln!("sessiond: {error:#}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_setting_with_its_variable_and_default() {
        command().debug_assert();
        let help = command().render_help().to_string();
        for setting in SETTINGS.iter().filter(|setting| !setting.is_hidden) {
            assert!(
                help.contains(&format!("--{}", setting.flag())),
                "{}",
                setting.name
            );
            assert!(help.contains(setting.name), "{}", setting.name);
        }
        assert!(!help.contains("SESSION_TIME_SCALE"));
    }
}
