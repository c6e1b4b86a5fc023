//! `sessiond agents`

use std::path;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::columns;
use super::output::{note, one_line, print, print_json};
use crate::agents::probe::{ProbeResult, probe};
use crate::agents::registry::{Agent, BackendContext, Registry};
use crate::agents::warnings::warnings;
use crate::clock::Clock;
use crate::settings::Config;

/// What the command does beside listing the agents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Ask each agent whether it answers.
    pub(super) probe: bool,
    /// Print JSON instead of columns.
    pub(super) json: bool,
}

/// An agent as it is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    id: String,
    name: &'a str,
    backend: &'static str,
    model: Option<&'a str>,
    address: Option<String>,
    /// Whether it answers; null if it was not asked.
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_chunk_ms: Option<u64>,
    /// The reason that clients would receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// Lists the agents, and asks each of them whether it answers if the options say so.
pub(super) fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let clock = Clock::system();
    let context = BackendContext::new(config.environment.clone())?;
    let agents = Registry::load(&config.storage.agents_dir(), clock.now(), &context)?;
    if !config.storage.data_dir.exists() {
        let missing = path::absolute(&config.storage.data_dir)?;
        note(&format!(
            "there is no data directory {}: a server that starts with it has these agents",
            missing.display()
        ));
    }
    for warning in warnings(&agents, &config.environment) {
        note(&warning);
    }
    let listed: Vec<_> = if options.probe {
        Runtime::new()?.block_on(ask_all(&agents, &clock))
    } else {
        agents.iter().map(Listed::new).collect()
    };
    if options.json {
        print_json(&listed)?;
    } else {
        let rows: Vec<_> = listed.iter().map(Listed::cells).collect();
        print(&columns::format(&rows))?;
    }
    let failed = listed.iter().filter(|agent| agent.ok == Some(false));
    match failed.count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} agents do not answer", listed.len()),
    }
}

/// Asks all agents at once, so that the slowest one determines the time.
async fn ask_all<'a>(agents: &'a Registry, clock: &Clock) -> Vec<Listed<'a>> {
    let deletions = TaskTracker::new();
    let asked = agents.iter().map(|agent| ask(agent, clock, &deletions));
    let listed = join_all(asked).await;
    deletions.close();
    deletions.wait().await;
    listed
}

async fn ask<'a>(agent: &'a Agent, clock: &Clock, deletions: &TaskTracker) -> Listed<'a> {
    let ids = std::array::from_fn(|_| Uuid::new_v4().as_u128());
    let found = probe(agent, clock.now(), ids, deletions).await;
    let listed = Listed::new(agent);
    match found {
        Ok(ProbeResult::Answer(after)) => Listed {
            ok: Some(true),
            first_chunk_ms: Some(millis(after)),
            ..listed
        },
        Ok(ProbeResult::Later) => Listed {
            ok: Some(true),
            ..listed
        },
        Err(error) => Listed {
            ok: Some(false),
            reason: Some(error.reason.as_str()),
            cause: Some(error.cause),
            ..listed
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<'a> Listed<'a> {
    fn new(agent: &'a Agent) -> Self {
        Self {
            id: agent.character.id.to_string(),
            name: &agent.character.name,
            backend: agent.backend.kind(),
            model: agent.backend.model(),
            address: agent.backend.address(),
            ok: None,
            first_chunk_ms: None,
            reason: None,
            cause: None,
        }
    }

    fn state(&self) -> String {
        match (self.ok, self.first_chunk_ms, &self.cause) {
            (Some(true), Some(millis), _) => format!("answered in {millis} ms"),
            (Some(true), None, _) => "answers by submit".to_owned(),
            (Some(false), _, Some(cause)) => format!("does not answer: {cause}"),
            _ => String::new(),
        }
    }

    fn cells(&self) -> [String; 6] {
        let cells = [
            self.name,
            &self.id,
            self.backend,
            self.model.unwrap_or_default(),
            self.address.as_deref().unwrap_or_default(),
            &self.state(),
        ];
        cells.map(one_line)
    }
}
