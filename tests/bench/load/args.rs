//! The arguments.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::scenario::Scenario;
use crate::target::Address;

/// What the process is to do.
pub(crate) enum Task {
    /// Measure the scenarios.
    Measure(Options),
    /// Measure a large database.
    Million(Options),
    /// Be the server; its address goes into this file.
    Serve(PathBuf),
    /// Be the bare server of bodies of so many bytes; its address goes into this file.
    Bare(PathBuf, usize),
    /// Overwrite and sync this file for so long.
    Sync(PathBuf, Duration),
    /// Overwrite a row of a database in this file for so long.
    Row(PathBuf, Duration),
}

/// How to measure.
pub(crate) struct Options {
    /// A server that runs already; none to start one.
    pub(crate) url: Option<Address>,
    /// The token for it.
    pub(crate) token: Option<String>,
    /// The agent to talk to; the first one unless given.
    pub(crate) agent: Option<String>,
    /// What to measure.
    pub(crate) scenarios: Vec<Scenario>,
    /// How many connections; by the scenario unless given.
    pub(crate) connections: Option<usize>,
    /// How long each run takes.
    pub(crate) time: Duration,
    /// How many runs.
    pub(crate) rounds: usize,
    /// Whether the machine's limits are measured too.
    pub(crate) limits: bool,
    /// How many sessions are prepared; for a large database, how many it holds.
    pub(crate) sessions: Option<usize>,
    /// How many messages the listed sessions have.
    pub(crate) messages: usize,
    /// The server's `RUST_LOG`; empty for its default.
    pub(crate) log: String,
    /// Where the server's folder is made.
    pub(crate) folder: PathBuf,
    /// Whether the figures are printed as JSON.
    pub(crate) json: bool,
}

/// The program's arguments.
pub(crate) fn command() -> Command {
    Command::new("load")
        .about("Measures a server of the Sessions API: one that it starts itself, or that of --url")
        .args([
            value("url", "A server that runs already, as http://HOST:PORT"),
            value("token", "The server's token (X-API-KEY)"),
            value(
                "agent",
                "The agent's id; the server's first one unless given",
            ),
            value(
                "scenario",
                "create, get, heartbeat, alone (one connection's heartbeats), send, list, mixed, \
                 or million (a large database); separated by commas, all but the last unless given",
            ),
            number(
                "connections",
                "How many connections; by the scenario unless given",
            ),
            number("rounds", "How many runs; the median is told").default_value("3"),
            number(
                "sessions",
                "How many sessions are there, 1000; for `million`, a million",
            ),
            number("messages", "How many messages a listed session has").default_value("1000"),
            value(
                "log",
                "RUST_LOG of the server that is started; empty for its default",
            )
            .default_value("warn"),
            value("folder", "Where the server's temporary folder is made"),
        ])
        .arg(
            value("seconds", "How long a run takes")
                .default_value("3")
                .value_parser(value_parser!(f64)),
        )
        .arg(switch(
            "no-limits",
            "Leave out what the machine could do at best",
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

/// What the process calls itself with.
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
            _ => of_options(&matches),
        }
    }
}

fn time(matches: &ArgMatches) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text(matches, "time").parse()?)?)
}

fn of_options(matches: &ArgMatches) -> anyhow::Result<Task> {
    let wanted = matches.get_one::<String>("scenario").map(String::as_str);
    let is_million = wanted == Some("million");
    let options = options(matches, wanted.filter(|_| !is_million))?;
    if !is_million {
        return Ok(Task::Measure(options));
    }
    if options.url.is_some() {
        bail!("the scenario `million` fills a database of its own: it cannot use --url");
    }
    Ok(Task::Million(options))
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
        folder: given("folder").map_or_else(std::env::temp_dir, PathBuf::from),
        json: matches.get_flag("json"),
    })
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}
