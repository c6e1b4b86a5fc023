//! Rounds: the limits and the server in turn, so that a busy machine affects all of them alike.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::child::Server;
use crate::drive::{self, Workload, drive};
use crate::limits::{self, Writes};
use crate::measurement::{Measurement, median};
use crate::scenario::Scenario;

/// How a scenario is run.
pub(crate) struct Plan<'a> {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// The server and the requests.
    pub(crate) workload: Workload<'a>,
    /// Duration of each run.
    pub(crate) time: Duration,
    /// Number of rounds.
    pub(crate) rounds: usize,
    /// The directory in which the limits are measured, if they are.
    pub(crate) limits: Option<&'a Path>,
}

/// One round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    ours: Measurement,
    /// The bare server, before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bare: Vec<Measurement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syncs: Option<Writes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Writes>,
}

/// The result of a scenario.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// The scenario.
    pub(crate) scenario: &'static str,
    /// Number of connections.
    pub(crate) connections: usize,
    /// The medians over the rounds.
    pub(crate) ours: Measurement,
    /// The bare server's medians.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bare: Option<Measurement>,
    /// The median of the syncs' medians, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sync: Option<f64>,
    /// The throughput as a share of the bare server's: the median over the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f64>,
    /// The median latency in units of a sync: the median over the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_syncs: Option<f64>,
    /// The same in units of a commit of one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_rows: Option<f64>,
    /// The lowest acceptable share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<f64>,
    /// Whether the share is at least the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
    /// Every round.
    pub(crate) rounds: Vec<Round>,
}

/// Runs all rounds of a scenario.
pub(crate) async fn run(plan: &Plan<'_>, mut step: impl FnMut()) -> anyhow::Result<Outcome> {
    let bare = plan.bare().await?;
    step();
    let mut rounds = Vec::with_capacity(plan.rounds);
    for _ in 0..plan.rounds {
        rounds.push(plan.round(bare.as_ref()).await?);
        step();
    }
    Ok(plan.outcome(rounds))
}

impl Plan<'_> {
    /// Starts a bare server whose answers are as long as the measured server's.
    async fn bare(&self) -> anyhow::Result<Option<Server>> {
        let bytes = drive::mean_body(self.workload).await;
        let bytes = bytes.with_context(|| format!("before `{}`", self.scenario.name()))?;
        let Some(directory) = self.limits else {
            return Ok(None);
        };
        Server::start_bare(directory, bytes).map(Some)
    }

    async fn round(&self, bare: Option<&Server>) -> anyhow::Result<Round> {
        let mut bares = Vec::new();
        bares.extend(self.run_bare(bare).await?);
        let directory = self.limits.filter(|_| self.scenario.writes());
        let syncs = directory
            .map(|directory| limits::syncs(directory, self.time / 3))
            .transpose()?;
        let directory = directory.filter(|_| self.scenario == Scenario::Single);
        let rows = directory
            .map(|directory| limits::rows(directory, self.time / 3))
            .transpose()?;
        let ours = drive(self.workload, self.time).await?;
        bares.extend(self.run_bare(bare).await?);
        Ok(Round {
            ours,
            bare: bares,
            syncs,
            rows,
        })
    }

    async fn run_bare(&self, bare: Option<&Server>) -> anyhow::Result<Option<Measurement>> {
        let Some(bare) = bare else {
            return Ok(None);
        };
        let workload = Workload {
            address: bare.address.socket,
            pid: Some(bare.pid()),
            checks: false,
            ..self.workload
        };
        drive(workload, self.time).await.map(Some)
    }

    fn outcome(&self, rounds: Vec<Round>) -> Outcome {
        let ours: Vec<_> = rounds.iter().map(|round| round.ours.clone()).collect();
        let bare: Vec<_> = rounds.iter().flat_map(|round| round.bare.clone()).collect();
        let shares: Vec<_> = rounds.iter().filter_map(Round::share).collect();
        let in_syncs: Vec<_> = rounds.iter().filter_map(Round::in_syncs).collect();
        let in_rows: Vec<_> = rounds.iter().filter_map(Round::in_rows).collect();
        let syncs: Vec<_> = rounds
            .iter()
            .filter_map(|round| round.syncs.as_ref())
            .collect();
        let some = |values: Vec<f64>| (!values.is_empty()).then(|| median(values));
        let mut outcome = Outcome {
            scenario: self.scenario.name(),
            connections: self.workload.connections.len(),
            ours: Measurement::median(&ours),
            bare: (!bare.is_empty()).then(|| Measurement::median(&bare)),
            sync: some(syncs.iter().map(|syncs| syncs.p50).collect()),
            share: some(shares),
            in_syncs: some(in_syncs),
            in_rows: some(in_rows),
            floor: None,
            met: None,
            rounds,
        };
        // A floor applies only to the scenario's own number of connections.
        if outcome.connections == self.scenario.connections() {
            outcome.compare(self.scenario.floor());
        }
        outcome
    }
}

impl Round {
    fn share(&self) -> Option<f64> {
        let bare = median(self.bare.iter().map(|bare| bare.per_second));
        (bare > 0.0).then(|| self.ours.per_second / bare)
    }

    fn in_syncs(&self) -> Option<f64> {
        self.in_writes(self.syncs.as_ref()?)
    }

    fn in_rows(&self) -> Option<f64> {
        self.in_writes(self.rows.as_ref()?)
    }

    fn in_writes(&self, writes: &Writes) -> Option<f64> {
        (writes.p50 > 0.0).then(|| self.ours.p50 / writes.p50)
    }
}

impl Outcome {
    fn compare(&mut self, floor: Option<f64>) {
        self.floor = floor;
        self.met = floor.zip(self.share).map(|(floor, share)| share >= floor);
    }
}
