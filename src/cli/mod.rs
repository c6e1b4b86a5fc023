//! The command line.

mod agents;
mod backup;
mod check;
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
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, ArgMatches, Command};

use self::healthcheck::Question;
use self::output::say;
use crate::config::Config;
use crate::guard::identity::random_token;

/// Runs the program; returns how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = flags::joined(std::env::args_os());
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(answer) => return say_usage(&answer),
    };
    let (name, matches) = matches.subcommand().unwrap_or(("serve", &matches));
    let done = match name {
        // These need no settings, and so no valid ones either.
        "token" => random_token()
            .context("the system gives no random numbers")
            .and_then(|token| say(&token)),
        "completions" => completions::run(matches),
        _ => flags::config(matches).and_then(|config| {
            let done = run(name, matches, &config);
            done.map_err(|error| hints::add(error, name, &config))
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_cut_off(&error) => ExitCode::from(output::CUT_OFF),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a command that needs the settings.
fn run(name: &str, matches: &ArgMatches, config: &Config) -> anyhow::Result<()> {
    match name {
        "agents" => agents::run(config, matches.get_flag("probe")),
        "healthcheck" => healthcheck::run(config, {
            if matches.get_flag(LIVE) {
                Question::Live
            } else {
                Question::Ready
            }
        }),
        "check" => check::run(config),
        "compact" => check::compact(config),
        "backup" => backup::run(config, file(matches)?),
        "restore" => backup::restore(config, file(matches)?, matches.get_flag(FORCE)),
        "export" => {
            let session = matches.get_one::<String>(SESSION);
            export::run(config, session.map(String::as_str))
        }
        "import" => import::run(config, file(matches).ok()),
        _ => serve::run(config),
    }
}

/// The program's arguments.
#[must_use]
pub fn command() -> Command {
    flags::accepted(bare_command())
}

/// The program's arguments without the settings.
fn bare_command() -> Command {
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
             echo \"ELIZA_SERVER_AUTH_TOKEN=$(sessiond token)\" >> .env\n  \
             sessiond --server-host 0.0.0.0",
        )
        .styles(styles)
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
                .about(
                    "Ask the running server whether it is ready; the exit code is 0 when it is \
                     healthy or degraded",
                )
                .arg(
                    Arg::new(LIVE)
                        .long(LIVE)
                        .help("Ask whether its process answers, whatever the disk does")
                        .action(ArgAction::SetTrue),
                ),
        )
        .subcommand(Command::new("token").about("Print a fresh random token"))
        .subcommand(completions::command())
        .subcommands(data_commands())
}

const FILE: &str = "FILE";
const FORCE: &str = "force";
const LIVE: &str = "live";
const SESSION: &str = "session";

/// The commands that work on the database in `DATA_DIR`.
fn data_commands() -> [Command; 6] {
    let file = |help: &'static str| {
        Arg::new(FILE)
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
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
            .arg(file(
                "The new file; one that is there already is not replaced",
            )),
        Command::new("restore")
            .about("Put a backup in the place of the database")
            .arg(file("The backup, as `sessiond backup` has made it"))
            .arg(force),
        Command::new("export")
            .about("Print sessions as JSON Lines; a running server is asked for them")
            .arg(session),
        Command::new("import")
            .about("Make a database of exported lines, from a file or standard input")
            .arg(
                file(
                    "The lines, as `sessiond export` has printed them; without it, standard input",
                )
                .required(false),
            ),
    ]
}

fn file(matches: &ArgMatches) -> anyhow::Result<&Path> {
    let path = matches.get_one::<PathBuf>(FILE);
    path.map(PathBuf::as_path).context("a file must be named")
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
