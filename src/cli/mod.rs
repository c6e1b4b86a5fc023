//! The command line.

mod agent_names;
mod agents;
mod backup;
mod chat;
mod check;
mod columns;
mod commands;
mod confirm;
mod connection;
mod data_dir;
mod embedded;
mod export;
mod file_kind;
mod flags;
mod greeting;
mod healthcheck;
mod hidden_input;
mod hints;
mod import;
mod import_elizaos;
mod import_lines;
mod jwt;
mod local_address;
mod local_server;
mod new_agent;
mod output;
mod serve;
mod server_choice;
mod server_client;
mod sessions;
mod settings;
mod short_help;
mod stopped_by_signal;
mod usage_error;
mod user_id;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use self::commands::{AgentsAction, Cli, CliCommand};
use self::stopped_by_signal::StoppedBySignal;
use self::usage_error::UsageError;
use crate::auth::identity::random_token;
use crate::settings::Config;

/// The exit code of an invalid command line, as clap has it.
const USAGE: u8 = 2;

/// Runs the program. Returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = flags::join_switches(std::env::args_os());
    let program = if short_help::is_requested(&arguments) {
        short_help::command()
    } else {
        command()
    };
    let parsed = program
        .try_get_matches_from(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let ended = match parsed {
        Ok((cli, matches)) => {
            let (name, matches) = matches.subcommand().unwrap_or(("serve", &matches));
            run(cli.command.unwrap_or(CliCommand::Serve), name, matches).map(|()| ExitCode::SUCCESS)
        }
        Err(error) => print_usage(&error),
    };
    ended.unwrap_or_else(|error| {
        if output::is_closed(&error) {
            return ExitCode::from(output::CLOSED);
        }
        let stopped = error.downcast_ref::<StoppedBySignal>();
        // The sender of the signal knows that.
        let is_known = stopped.is_some() && error.chain().len() == 1;
        if !is_known {
            // To standard error, since the log may not have been started.
            output::note(&format!("{error:#}"));
        }
        if error.is::<UsageError>() {
            return ExitCode::from(USAGE);
        }
        stopped.map_or(ExitCode::FAILURE, |stopped| {
            ExitCode::from(stopped.exit_code())
        })
    })
}

fn run(command: CliCommand, name: &str, matches: &ArgMatches) -> anyhow::Result<()> {
    let with_config = |run: &dyn Fn(&Config) -> anyhow::Result<()>| {
        let config = flags::config(name, matches)?;
        run(&config).map_err(|error| hints::add(error, name, &config))
    };
    match command {
        CliCommand::Token => {
            let token = random_token().context("the system provides no random numbers")?;
            output::print(&token)
        }
        CliCommand::Sessions(args) => with_config(&|config| sessions::run(config, &args)),
        CliCommand::Settings { json } => with_config(&|config| settings::run(config, json)),
        CliCommand::Jwt { user, expires } => {
            with_config(&|config| jwt::run(config, &user, expires))
        }
        CliCommand::Completions { shell } => {
            let mut script = Vec::new();
            // Completions include hidden flags, so these are left out.
            let mut command = flags::add_listed(Cli::command());
            clap_complete::generate(shell, &mut command, "sessiond", &mut script);
            let mut out = io::stdout().lock();
            output::unless_closed(out.write_all(&script).and_then(|()| out.flush()))
        }
        CliCommand::Man { directory } => {
            // The page of `serve` lists the settings; that of the program would be long with them.
            let program = flags::add_listed(Cli::command()).mut_args(|setting| setting.hide(true));
            // A page's name has a description of one line.
            let program = program.about(commands::SUMMARY);
            clap_mangen::generate_to(program, &directory)
                .with_context(|| format!("the pages cannot be written to {}", directory.display()))
        }
        CliCommand::Serve => with_config(&serve::run),
        CliCommand::Chat(args) => with_config(&|config| chat::run(config, &args)),
        CliCommand::Agents {
            probe,
            json,
            action: None,
        } => with_config(&|config| agents::run(config, agents::Options { probe, json })),
        CliCommand::Agents {
            probe: false,
            json: false,
            action: Some(AgentsAction::New(args)),
        } => with_config(&|config| new_agent::run(config, &args)),
        CliCommand::Agents { .. } => {
            let reason = "--probe and --json are for `sessiond agents` without `new`";
            Err(UsageError(reason.into()).into())
        }
        CliCommand::Healthcheck { live, json } => {
            with_config(&|config| healthcheck::run(config, live, json))
        }
        CliCommand::Check { json } => with_config(&|config| check::run(config, json)),
        CliCommand::Compact { json } => with_config(&|config| check::compact(config, json)),
        CliCommand::Backup { file } => with_config(&|config| backup::run(config, &file)),
        CliCommand::Restore { file, force } => {
            with_config(&|config| backup::restore(config, &file, force))
        }
        CliCommand::Export { session, user } => {
            with_config(&|config| export::run(config, session.as_deref(), user))
        }
        CliCommand::Import {
            from_elizaos: Some(url),
            api_key_env,
            json,
            ..
        } => with_config(&|config| import_elizaos::run(config, &url, api_key_env.as_deref(), json)),
        CliCommand::Import {
            file, merge, json, ..
        } => with_config(&|config| import::run(config, file.as_deref(), merge, json)),
    }
}

/// Returns the program's arguments.
#[must_use]
pub fn command() -> clap::Command {
    flags::add_all(Cli::command())
}

/// Prints the help, the version, or the error in the arguments. Returns the exit code.
fn print_usage(error: &clap::Error) -> anyhow::Result<ExitCode> {
    output::unless_closed(error.print())?;
    Ok(u8::try_from(error.exit_code()).unwrap_or(USAGE).into())
}
