//! `sessiond agents`

use std::time::Instant;

use anyhow::bail;
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::output::print;
use crate::agents::probe::{ProbeResult, probe};
use crate::agents::registry::{Agent, BackendContext, Registry};
use crate::clock::Clock;
use crate::settings::Config;

/// Lists the agents. With `is_probing`, sends each of them a question.
pub(super) fn run(config: &Config, is_probing: bool) -> anyhow::Result<()> {
    let clock = Clock::system();
    let context = BackendContext::new(config.environment.clone())?;
    let agents = Registry::load(&config.storage.agents_dir(), clock.now(), &context)?;
    let agents: Vec<_> = agents.iter().collect();
    let states = if is_probing {
        let probes = agents.iter().map(|agent| probe_one(agent, &clock));
        Runtime::new()?.block_on(join_all(probes))
    } else {
        Vec::new()
    };
    print(&table(&agents, &states))?;
    let faults = states.iter().filter(|(_, is_fault)| *is_fault).count();
    if faults > 0 {
        bail!("{faults} of {} agents do not answer", states.len());
    }
    Ok(())
}

/// Returns the state of an agent, and whether it is a fault.
async fn probe_one(agent: &Agent, clock: &Clock) -> (String, bool) {
    let started = Instant::now();
    let ids = std::array::from_fn(|_| Uuid::new_v4().as_u128());
    let found = probe(agent, clock.now(), ids).await;
    let millis = started.elapsed().as_millis();
    match found {
        Ok(ProbeResult::Answer) => (format!("answered in {millis} ms"), false),
        Ok(ProbeResult::Later) => ("answers by submit".to_owned(), false),
        Err(reason) => (format!("does not answer: {reason}"), true),
    }
}

/// Formats the agents in columns, each with its state.
fn table(agents: &[&Agent], states: &[(String, bool)]) -> String {
    let rows = agents.iter().map(|agent| {
        let id = agent.character.id.to_string();
        [&*agent.character.name, &id, agent.backend.kind()].map(str::to_owned)
    });
    let rows: Vec<_> = rows.collect();
    let widths: [usize; 3] = std::array::from_fn(|column| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default()
    });
    let [name_width, id_width, backend_width] = widths;
    let mut states = states.iter().map(|(state, _)| state.as_str());
    let lines = rows.iter().map(|[name, id, backend]| {
        let state = states.next().unwrap_or_default();
        let line = format!("{name:name_width$}  {id:id_width$}  {backend:backend_width$}  {state}");
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
