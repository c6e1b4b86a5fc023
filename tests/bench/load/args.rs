//! Command-line arguments.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::scenario::Scenario;
use crate::target::Address;

/// The default number of searched messages.
const SEARCHED: usize = 1_000_000;

/// The task of the process.
pub(crate) enum Task {
    /// Measure the scenarios.
    Measure(Options),
    /// Measure a large database.
    Million(Options),
    /// Measure the stopping of replies.
    Cancel(Options),
    /// Measure the search of messages.
    Search(Options),
    /// Run the server, and write its address into this file.
    Serve(PathBuf),
    /// Run the bare server with bodies of this many bytes, and write its address into this file.
    Bare(PathBuf, usize),
    /// Overwrite and sync this file for this long.
    Sync(PathBuf, Duration),
    /// Overwrite a row of a database in this file for this long.
    Row(PathBuf, Duration),
}

/// Options of a measurement.
pub(crate) struct Options {
    /// A running server; `None` starts one.
    pub(crate) url: Option<Address>,
    /// The running server's token.
    pub(crate) token: Option<String>,
    /// The agent's id; by default the server's first agent.
    pub(crate) agent: Option<String>,
    /// The scenarios to measure.
    pub(crate) scenarios: Vec<Scenario>,
    /// Number of connections; by default the scenario's.
    pub(crate) connections: Option<usize>,
    /// Duration of each run.
    pub(crate) time: Duration,
    /// Number of runs.
    pub(crate) rounds: usize,
    /// Whether the machine's limits are measured too.
    pub(crate) limits: bool,
    /// Number of prepared sessions; for a large database, its size.
    pub(crate) sessions: Option<usize>,
    /// Number of messages in each listed session; for a search, in all.
    pub(crate) messages: usize,
    /// The server's `RUST_LOG`; empty for its default.
    pub(crate) log: String,
    /// The directory in which the server's temporary directory is created.
    pub(crate) directory: PathBuf,
    /// Whether to print JSON.
    pub(crate) json: bool,
}

/// Returns the program's arguments.
pub(crate) fn command() -> Command {
    Command::new("load")
        .about("Measures a server of the Sessions API: one that it starts itself, or that of --url")
        .args([
            value("url", "A running server, as http://HOST:PORT"),
            value("token", "The server's token (X-API-KEY)"),
            value(
                "agent",
                "The agent's id [default: the server's first agent]",
            ),
            value(
                "scenario",
                "create, get, heartbeat, single (heartbeats of one connection), send, list, mixed, \
                 or million (a large database), search (the search of messages) or cancel (stopping \
                 replies), each by itself; separated by commas [default: all but the last three]",
            ),
            number(
                "connections",
                "Number of connections [default: depends on the scenario]",
            ),
            number("rounds", "Number of runs, of which the median is reported").default_value("3"),
            number(
                "sessions",
                "Number of sessions [default: 1000; a million for `million`]",
            ),
            number(
                "messages",
                "Number of messages in a listed session [default: 1000; a million in all for `search`]",
            ),
            value(
                "log",
                "RUST_LOG of the server that is started; empty for its default",
            )
            .default_value("warn"),
            value(
                "directory",
                "Where the server's temporary directory is created",
            ),
        ])
        .arg(
            value("seconds", "Duration of a run")
                .default_value("3")
                .value_parser(value_parser!(f64)),
        )
        .arg(switch(
            "no-limits",
            "Do not measure the limits of the machine",
        ))
        .arg(switch("json", "Print JSON"))
        .subcommands([
            hidden("serve", &["ready"]),
            hidden("bare", &["ready", "bytes"]),
            hidden("sync", &["file", "time"]),
            hidden("row", &["file", "time"]),
        ])
}

fn value(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).value_name("VALUE")
}

fn number(name: &'static str, help: &'static str) -> Arg {
    value(name, help).value_parser(value_parser!(u32).range(1..))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
}

/// Returns a subcommand with which the process starts itself.
fn hidden(name: &'static str, args: &[&'static str]) -> Command {
    let args = args.iter().map(|arg| Arg::new(*arg).required(true));
    Command::new(name).hide(true).args(args)
}

impl TryFrom<ArgMatches> for Task {
    type Error = anyhow::Error;

    fn try_from(matches: ArgMatches) -> anyhow::Result<Self> {
        match matches.subcommand() {
            Some(("serve", inner)) => Ok(Self::Serve(text(inner, "ready").into())),
            Some(("bare", inner)) => Ok(Self::Bare(
                text(inner, "ready").into(),
                text(inner, "bytes").parse()?,
            )),
            Some(("sync", inner)) => Ok(Self::Sync(text(inner, "file").into(), time(inner)?)),
            Some(("row", inner)) => Ok(Self::Row(text(inner, "file").into(), time(inner)?)),
            _ => from_options(&matches),
        }
    }
}

fn time(matches: &ArgMatches) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text(matches, "time").parse()?)?)
}

fn from_options(matches: &ArgMatches) -> anyhow::Result<Task> {
    let wanted = matches.get_one::<String>("scenario").map(String::as_str);
    let own = wanted.filter(|wanted| ["million", "search", "cancel"].contains(wanted));
    let mut options = options(matches, wanted.filter(|_| own.is_none()))?;
    let Some(own) = own else {
        return Ok(Task::Measure(options));
    };
    if options.url.is_some() {
        bail!("the scenario `{own}` starts a server of its own: it cannot use --url");
    }
    match own {
        "million" => return Ok(Task::Million(options)),
        "cancel" => return Ok(Task::Cancel(options)),
        _ => {}
    }
    if !matches.contains_id("messages") {
        options.messages = SEARCHED;
    }
    Ok(Task::Search(options))
}

fn options(matches: &ArgMatches, wanted: Option<&str>) -> anyhow::Result<Options> {
    let scenarios = match wanted {
        None => Scenario::ALL.to_vec(),
        Some(names) => names
            .split(',')
            .map(Scenario::parse)
            .collect::<Result<_, _>>()?,
    };
    let count = |name| matches.get_one::<u32>(name).map(|count| *count as usize);
    let seconds = matches.get_one::<f64>("seconds").copied().unwrap_or(3.0);
    let given = |name| matches.get_one::<String>(name).cloned();
    Ok(Options {
        url: given("url").as_deref().map(Address::parse).transpose()?,
        token: given("token"),
        agent: given("agent"),
        scenarios,
        connections: count("connections"),
        time: Duration::try_from_secs_f64(seconds)?,
        rounds: count("rounds").unwrap_or(3),
        limits: !matches.get_flag("no-limits"),
        sessions: count("sessions"),
        messages: count("messages").unwrap_or(1000),
        log: given("log").unwrap_or_default(),
        directory: given("directory").map_or_else(std::env::temp_dir, PathBuf::from),
        json: matches.get_flag("json"),
    })
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}
