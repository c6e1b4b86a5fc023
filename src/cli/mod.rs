//! The command line.

mod agents;
mod completions;
mod healthcheck;
mod serve;
mod token;

use std::collections::HashMap;
use std::process::ExitCode;

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
        "completions" => Some(completions::run(matches)),
        _ => None,
    };
    let configured = || {
        config(matches).and_then(|config| match name {
            "agents" => agents::run(&config, matches.get_flag("probe")),
            "healthcheck" => healthcheck::run(&config),
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
        .about("A self-hosted, durable server of the ElizaOS Sessions API")
        .before_help(
            "Without a command it serves: start it, and open http://127.0.0.1:3000 in a browser. \
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
