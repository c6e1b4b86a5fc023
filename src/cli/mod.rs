//! The command line.

mod agents;
mod backup;
mod check;
mod commands;
mod completions;
mod data_dir;
mod export;
mod file_kind;
mod flags;
mod healthcheck;
mod hints;
mod import;
mod output;
mod serve;
mod server_client;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use self::commands::{Cli, Command};
use self::healthcheck::Question;
use self::output::say;
use crate::auth::identity::random_token;
use crate::settings::Config;

/// Runs the program; returns how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = flags::joined(std::env::args_os());
    let parsed = command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(answer) => return say_usage(&answer),
    };
    let (name, matches) = matches.subcommand().unwrap_or(("serve", &matches));
    match run(cli.command.unwrap_or(Command::Serve), name, matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_cut_off(&error) => ExitCode::from(output::CUT_OFF),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, name: &str, matches: &ArgMatches) -> anyhow::Result<()> {
    // Only where a command needs settings, they have to be valid.
    let with_config = |run: &dyn Fn(&Config) -> anyhow::Result<()>| {
        let config = flags::config(matches)?;
        run(&config).map_err(|error| hints::add(error, name, &config))
    };
    match command {
        Command::Token => random_token()
            .context("the system gives no random numbers")
            .and_then(|token| say(&token)),
        Command::Completions { shell } => completions::run(shell),
        Command::Serve => with_config(&serve::run),
        Command::Agents { probe } => with_config(&|config| agents::run(config, probe)),
        Command::Healthcheck { live } => {
            let question = if live {
                Question::Live
            } else {
                Question::Ready
            };
            with_config(&|config| healthcheck::run(config, question))
        }
        Command::Check => with_config(&check::run),
        Command::Compact => with_config(&check::compact),
        Command::Backup { file } => with_config(&|config| backup::run(config, &file)),
        Command::Restore { file, force } => {
            with_config(&|config| backup::restore(config, &file, force))
        }
        Command::Export { session } => {
            with_config(&|config| export::run(config, session.as_deref()))
        }
        Command::Import { file } => with_config(&|config| import::run(config, file.as_deref())),
    }
}

/// The program's arguments.
#[must_use]
pub fn command() -> clap::Command {
    flags::accepted(Cli::command())
}

/// The help or the version, or what is wrong with the arguments.
fn say_usage(answer: &clap::Error) -> ExitCode {
    let code = u8::try_from(answer.exit_code()).unwrap_or(2);
    match output::heard(answer.print()) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// A line for the eyes of whoever runs the command: standard output has the answer.
fn note(text: &str) {
    // Where nobody hears it, the exit code tells.
    let _ = writeln!(std::io::stderr(), "sessiond: {text}");
}

fn complain(error: &anyhow::Error) {
    // The log may not have been started.
    note(&format!("{error:#}"));
}
