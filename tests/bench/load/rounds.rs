//! Rounds: the limits and the server in turn, so that a busy machine disturbs all of them alike.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::child::Server;
use crate::drive::{self, Course, drive};
use crate::figures::{Figures, median};
use crate::limits::{self, Writes};
use crate::scenario::Scenario;

/// How a scenario is run.
pub(crate) struct Plan<'a> {
    /// Which one.
    pub(crate) scenario: Scenario,
    /// What to run against.
    pub(crate) course: Course<'a>,
    /// How long each run takes.
    pub(crate) time: Duration,
    /// How many there are.
    pub(crate) rounds: usize,
    /// Where the limits are measured, if they are.
    pub(crate) limits: Option<&'a Path>,
}

/// One round.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    ours: Figures,
    /// Before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bare: Vec<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syncs: Option<Writes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Writes>,
}

/// What came out for a scenario.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// The scenario.
    pub(crate) scenario: &'static str,
    /// How many connections there were.
    pub(crate) connections: usize,
    /// The median of the rounds.
    pub(crate) ours: Figures,
    /// That of the bare server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bare: Option<Figures>,
    /// The median of the syncs' medians, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sync: Option<f64>,
    /// The throughput as a share of the bare server's: the median of the rounds' shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) share: Option<f64>,
    /// The median latency in syncs: the median of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_syncs: Option<f64>,
    /// The same in commits of one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_rows: Option<f64>,
    /// The least share of the bare server's throughput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<f64>,
    /// Whether the share is at least the floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
    /// All of it.
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
    /// Starts a bare server whose answers are as long as ours.
    async fn bare(&self) -> anyhow::Result<Option<Server>> {
        let bytes = drive::mean_body(self.course).await;
        let bytes = bytes.with_context(|| format!("before `{}`", self.scenario.name()))?;
        let Some(folder) = self.limits else {
            return Ok(None);
        };
        Server::start_bare(folder, bytes).map(Some)
    }

    async fn round(&self, bare: Option<&Server>) -> anyhow::Result<Round> {
        let mut bares = Vec::new();
        bares.extend(self.run_bare(bare).await?);
        let folder = self.limits.filter(|_| self.scenario.writes());
        let syncs = folder
            .map(|folder| limits::syncs(folder, self.time / 3))
            .transpose()?;
        let folder = folder.filter(|_| self.scenario == Scenario::Alone);
        let rows = folder
            .map(|folder| limits::rows(folder, self.time / 3))
            .transpose()?;
        let ours = drive(self.course, self.time).await?;
        bares.extend(self.run_bare(bare).await?);
        Ok(Round {
            ours,
            bare: bares,
            syncs,
            rows,
        })
    }

    async fn run_bare(&self, bare: Option<&Server>) -> anyhow::Result<Option<Figures>> {
        let Some(bare) = bare else {
            return Ok(None);
        };
        let course = Course {
            address: bare.address.socket,
            pid: Some(bare.pid()),
            checks: false,
            ..self.course
        };
        drive(course, self.time).await.map(Some)
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
            connections: self.course.connections.len(),
            ours: Figures::median(&ours),
            bare: (!bare.is_empty()).then(|| Figures::median(&bare)),
            sync: some(syncs.iter().map(|syncs| syncs.p50).collect()),
            share: some(shares),
            in_syncs: some(in_syncs),
            in_rows: some(in_rows),
            floor: None,
            met: None,
            rounds,
        };
        // A floor holds for the scenario's own number of connections only.
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
