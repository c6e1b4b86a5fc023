//! `sessiond agents`

use std::time::Instant;

use anyhow::bail;
use futures_util::future::join_all;
use uuid::Uuid;

use super::say;
use crate::agents::probe::{Found, probe};
use crate::agents::registry::{Agent, Registry};
use crate::clock::Clock;
use crate::server;
use crate::settings::Config;

/// A line of the table.
struct Row {
    cells: [String; 4],
    is_fault: bool,
}

/// Lists the agents; with `probing`, asks each of them whether it answers.
pub(super) fn run(config: &Config, probing: bool) -> anyhow::Result<()> {
    let clock = Clock::system();
    let tools = server::agent_tools(config)?;
    let agents = Registry::load(&server::agents_folder(config), clock.now(), &tools)?;
    let rows = if probing {
        // All at once: the slowest of them is waited for, not their sum.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(join_all(agents.iter().map(|agent| ask(agent, &clock))))
    } else {
        agents
            .iter()
            .map(|agent| row(agent, String::new(), false))
            .collect()
    };
    say(&table(&rows))?;
    let faults = rows.iter().filter(|row| row.is_fault).count();
    if faults > 0 {
        bail!("{faults} of {} agents do not answer", rows.len());
    }
    Ok(())
}

async fn ask(agent: &Agent, clock: &Clock) -> Row {
    let started = Instant::now();
    let ids = std::array::from_fn(|_| Uuid::new_v4().as_u128());
    let found = probe(agent, clock.now(), ids).await;
    let millis = started.elapsed().as_millis();
    match found {
        Ok(Found::Answer) => row(agent, format!("answered in {millis} ms"), false),
        Ok(Found::Later) => row(agent, "answers by submit".into(), false),
        Err(reason) => row(agent, format!("does not answer: {reason}"), true),
    }
}

fn row(agent: &Agent, state: String, is_fault: bool) -> Row {
    let character = &agent.character;
    Row {
        cells: [
            character.name.clone(),
            character.id.to_string(),
            agent.backend.kind().to_owned(),
            state,
        ],
        is_fault,
    }
}

/// The rows in columns.
fn table(rows: &[Row]) -> String {
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row.cells[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let (name, id, backend) = (width(0), width(1), width(2));
    let lines = rows.iter().map(|Row { cells, .. }| {
        let line = format!(
            "{:name$}  {:id$}  {:backend$}  {}",
            cells[0], cells[1], cells[2], cells[3]
        );
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
