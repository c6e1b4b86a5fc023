//! A day in which every session is replaced by another one.

use futures_util::future::join_all;
use sessiond::clock::Clock;
use sessiond::domain::id::SessionId;
use sessiond::domain::time::Millis;
use sessiond::store::command::{Heartbeat, Purge};

use super::fill::{self, Filler};
use super::table::Table;
use super::{Run, rules};
use crate::report::progress;

/// Number of steps in a day.
const HOURS: i64 = 24;

/// Number of heartbeats in a commit.
const BATCH: usize = 1024;

/// The shortest retention, so that sessions are purged within the day.
const SETTINGS: &[(&str, &str)] = &[("SESSION_RETENTION_MINUTES", "0")];

/// Simulates a day in steps of an hour: purges expired sessions, creates as many, and renews as many
/// others.
pub(crate) async fn measure(run: &Run<'_>, table: &mut Table) -> anyhow::Result<()> {
    let filler = Filler::open(&run.directory, rules(SETTINGS)?, &run.agent)?;
    let start = Clock::system().now();
    let hourly = run.sessions / HOURS as usize;
    let bar = progress(HOURS as u64).with_message("a day");
    let mut purged = 0;
    for hour in 1..=HOURS {
        let now = start + Millis(hour * 60 * 60 * 1000);
        filler.hand.set(now);
        purged += purge(&filler).await?;
        let day = fill::timeout(24 * 60);
        let made = filler.create(hourly, day, 1, |_| now, |_| {}).await?;
        let ids: Vec<SessionId> = made.iter().map(|made| made.id).collect();
        // A minute later, so that each session's index row moves.
        filler.hand.set(now + Millis(60_000));
        beat(&filler, &ids).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let left = filler.store.row_counts().await?.sessions;
    filler.close().await?;
    table.add("a day: purged", purged as f64, "");
    table.add(
        "a day: created, and renewed",
        (hourly * HOURS as usize) as f64,
        "",
    );
    table.add("a day: stored at its end", left as f64, "");
    Ok(())
}

async fn purge(filler: &Filler) -> anyhow::Result<usize> {
    let mut removed = 0;
    let mut next = Some(Purge::default());
    while let Some(purge) = next {
        let purged = filler.store.submit(purge).await;
        let purged = purged.map_err(|error| anyhow::anyhow!("a purge failed: {error:?}"))?;
        removed += purged.sessions.len();
        next = purged.next;
    }
    Ok(removed)
}

async fn beat(filler: &Filler, ids: &[SessionId]) -> anyhow::Result<()> {
    for batch in ids.chunks(BATCH) {
        let beats = batch.iter().map(|id| filler.store.submit(Heartbeat(*id)));
        for beat in join_all(beats).await {
            beat.map_err(|error| anyhow::anyhow!("a heartbeat failed: {error:?}"))?;
        }
    }
    Ok(())
}
