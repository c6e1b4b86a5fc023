//! Measures all scenarios and prints the report.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tempfile::TempDir;

use crate::api::Api;
use crate::args::Options;
use crate::child::Server;
use crate::drive::Workload;
use crate::print;
use crate::rounds::{self, Outcome, Plan};
use crate::scenario::{Scenario, Stock};
use crate::target::Target;
use crate::usage;

/// The report.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cores: usize,
    /// The machine's load average before and after.
    load_average: [Option<f64>; 2],
    seconds: f64,
    rounds: usize,
    scenarios: Vec<Outcome>,
}

/// Measures and prints.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let directory = TempDir::with_prefix_in("sessiond-load-", &options.directory)?;
    let before = usage::load_average();
    let bar = progress((options.scenarios.len() * (options.rounds + 1)) as u64);
    let mut scenarios = Vec::new();
    for scenario in &options.scenarios {
        bar.set_message(scenario.name());
        scenarios.push(one(options, *scenario, directory.path(), &bar).await?);
    }
    bar.finish_and_clear();
    let report = Report {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        load_average: [before, usage::load_average()],
        seconds: options.time.as_secs_f64(),
        rounds: options.rounds,
        scenarios,
    };
    if options.json {
        return Ok(print::line(&serde_json::to_string_pretty(&report)?)?);
    }
    Ok(print::line(&report.text())?)
}

/// Returns a progress bar on standard error, hidden if that is not a terminal.
pub(crate) fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg} ({eta} left)");
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn one(
    options: &Options,
    scenario: Scenario,
    directory: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<Outcome> {
    // Each scenario begins with an empty database, so that their order does not matter.
    let own = TempDir::new_in(directory)?;
    let server = match options.url {
        Some(_) => None,
        None => Some(Server::start(own.path(), &options.log, &[])?),
    };
    let address = server.as_ref().map(|server| server.address.clone());
    let Some(address) = address.or_else(|| options.url.clone()) else {
        anyhow::bail!("there is no server to measure");
    };
    let target = Target {
        address,
        token: options.token.clone(),
    };
    let api = Api::find(target, options.agent.as_deref()).await?;
    let stock = Stock {
        sessions: options.sessions.unwrap_or(1000),
        messages: options.messages,
    };
    let connections = options
        .connections
        .unwrap_or_else(|| scenario.connections());
    let connections = scenario.prepare(&api, connections, stock).await?;
    let plan = Plan {
        scenario,
        workload: Workload {
            address: api.target.address.socket,
            pid: server.as_ref().map(Server::pid),
            connections: &connections,
            checks: true,
        },
        time: options.time,
        rounds: options.rounds,
        limits: options.limits.then_some(own.path()),
    };
    let outcome = rounds::run(&plan, || bar.inc(1)).await?;
    server.map_or(Ok(()), Server::stop)?;
    Ok(outcome)
}

impl Report {
    fn text(&self) -> String {
        let load = self
            .load_average
            .map(|load| load.map_or("?".into(), |load| load.to_string()));
        let mut text = format!(
            "{} cores, load average {} before and {} after, median of {} rounds of {} s\n\n{}",
            self.cores,
            load[0],
            load[1],
            self.rounds,
            self.seconds,
            row(&[
                "scenario", "conns", "per s", "p50", "p99", "p99.9", "cpu", "of bare", "bare/s",
                "in syncs", "in rows", "floor", "met",
            ]),
        );
        for outcome in &self.scenarios {
            text.push('\n');
            text.push_str(&outcome.text());
        }
        text.push_str("\n\nTimes in microseconds; cpu is the server's processor time per answer.");
        text
    }
}

impl Outcome {
    fn text(&self) -> String {
        let ours = &self.ours;
        let some = |value: Option<f64>, digits: usize| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let mut text = row(&[
            self.scenario,
            &self.connections.to_string(),
            &format!("{:.0}", ours.per_second),
            &format!("{:.0}", ours.p50),
            &format!("{:.0}", ours.p99),
            &format!("{:.0}", ours.p999),
            &some(ours.server_cpu, 1),
            &some(self.share, 2),
            &some(self.bare.as_ref().map(|bare| bare.per_second), 0),
            &some(self.in_syncs, 2),
            &some(self.in_rows, 2),
            &some(self.floor, 2),
            self.met.map_or("", |met| if met { "yes" } else { "no" }),
        ]);
        for (kind, count) in &ours.errors {
            text.push_str(&format!("\n  errors: {count} × {kind}"));
        }
        if let Some(said) = &ours.first_error {
            text.push_str(&format!("\n  the first said: {said}"));
        }
        text
    }
}

fn row(cells: &[&str]) -> String {
    let mut text = String::new();
    for (at, cell) in cells.iter().enumerate() {
        match at {
            0 => text.push_str(&format!("{cell:<10}")),
            _ => text.push_str(&format!("{cell:>9}")),
        }
    }
    text.trim_end().to_owned()
}
