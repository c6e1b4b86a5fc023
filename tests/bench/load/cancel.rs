//! Measures how fast replies are stopped: each connection sends a message whose turn stays open,
//! and cancels it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::json;

use crate::api::{Api, SESSIONS, call, connect};
use crate::args::Options;
use crate::child::Server;
use crate::measurement::{Counter, Measurement};
use crate::print;
use crate::report::progress;
use crate::target::Target;

/// Number of connections, each with a session of its own.
const CONNECTIONS: usize = 128;

/// The id of the agent.
const AGENT_ID: &str = "00000000-0000-4000-8000-0000000000aa";

/// The report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    connections: usize,
    rounds: usize,
    /// The sends, which open the turns.
    send: Measurement,
    /// The cancels.
    cancel: Measurement,
}

/// A send or a cancel, and the answers to it.
struct Operation {
    counter: RefCell<Counter>,
}

/// Runs the rounds on a server of its own and prints the report.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let directory = tempfile::TempDir::with_prefix_in("sessiond-load-", &options.directory)?;
    let agents = directory.path().join("data/agents");
    std::fs::create_dir_all(&agents)?;
    // It answers by `submit`, so that its turns stay open until they are cancelled.
    let agent = json!({
        "id": AGENT_ID,
        "name": "Waits",
        "settings": { "backend": { "type": "external" } },
    });
    std::fs::write(agents.join("waits.json"), agent.to_string())?;
    let server = Server::start(directory.path(), &options.log, &[])?;
    let target = Target {
        address: server.address.clone(),
        token: None,
    };
    let api = Api::find(target, Some(AGENT_ID)).await?;
    let connections = options.connections.unwrap_or(CONNECTIONS);
    let sessions = api.create_sessions(connections).await?;
    let bar = progress(options.rounds as u64).with_message("cancel");
    let (mut sends, mut cancels) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let (send, cancel) = round(&api, &sessions, options.time).await?;
        sends.push(send);
        cancels.push(cancel);
        bar.inc(1);
    }
    bar.finish_and_clear();
    server.stop()?;
    let report = Report {
        connections,
        rounds: options.rounds,
        send: Measurement::median(&sends),
        cancel: Measurement::median(&cancels),
    };
    if options.json {
        return Ok(print::line(&serde_json::to_string_pretty(&report)?)?);
    }
    Ok(print::line(&report.text())?)
}

/// Sends and cancels in all sessions at once, for this long.
async fn round(
    api: &Api,
    sessions: &[String],
    time: Duration,
) -> anyhow::Result<(Measurement, Measurement)> {
    let (send, cancel) = (Operation::new()?, Operation::new()?);
    let until = Instant::now() + time;
    try_join_all(sessions.iter().map(async |session| {
        let mut connection = connect(&api.target).await?;
        let messages = format!("{SESSIONS}/{session}/messages");
        let stop = format!("{SESSIONS}/{session}/cancel");
        let body = json!({ "content": "Tell me a long story.", "transport": "websocket" });
        let body = body.to_string();
        while Instant::now() < until {
            let begun = Instant::now();
            let answer = call(&api.target, &mut connection, "POST", &messages, Some(&body)).await?;
            send.count(begun, answer.to_string().len());
            let begun = Instant::now();
            let closed = call(&api.target, &mut connection, "POST", &stop, None).await?;
            let id = answer["userMessage"]["id"].as_str();
            let id = id.context("a message was sent without an id")?;
            anyhow::ensure!(
                closed["cancelled"] == json!([id]),
                "the cancel of {id} closed {}",
                closed["cancelled"]
            );
            cancel.count(begun, closed.to_string().len());
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok((send.measurement(time), cancel.measurement(time)))
}

impl Operation {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            counter: RefCell::new(Counter::new()?),
        })
    }

    fn count(&self, begun: Instant, bytes: usize) {
        self.counter.borrow_mut().good(begun.elapsed(), bytes);
    }

    fn measurement(&self, time: Duration) -> Measurement {
        self.counter.borrow().measurement(time)
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "{} connections, median of {} rounds\n\n{:<8}{:>10}{:>9}{:>9}{:>9}",
            self.connections, self.rounds, "", "a second", "p50 ms", "p99 ms", "p99.9 ms"
        );
        for (name, row) in [("send", &self.send), ("cancel", &self.cancel)] {
            text.push_str(&format!(
                "\n{name:<8}{:>10.0}{:>9.1}{:>9.1}{:>9.1}",
                row.per_second,
                row.p50 / 1e3,
                row.p99 / 1e3,
                row.p999 / 1e3
            ));
        }
        text
    }
}
