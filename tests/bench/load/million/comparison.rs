//! Compares a server on a large database with one on a small database.

use std::path::Path;
use std::time::{Duration, Instant};

use super::fill::SeededSession;
use super::table::Table;
use super::{Run, find};
use crate::api::{self, Api, SESSIONS, connect};
use crate::child::Server;
use crate::client::Connection;
use crate::drive::{Workload, drive};
use crate::measurement::{Measurement, median};
use crate::report::progress;
use crate::requests::{Choice, Request};
use crate::scenario::{self, Scenario, Stock};
use crate::usage;

/// Number of writing connections.
const WRITERS: usize = 32;

/// Number of measured calls of one kind.
const CALLS: usize = 200;

/// Creates need no prepared data.
const STOCK: Stock = Stock {
    sessions: 0,
    messages: 0,
};

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Measures starts, single calls, writes, memory and the full list.
pub(crate) async fn measure(
    run: &Run<'_>,
    known: &[SeededSession],
    table: &mut Table,
) -> anyhow::Result<()> {
    let bar = progress(5 + run.options.rounds as u64).with_message("comparing");
    let ids: Vec<String> = known.iter().map(|made| made.id.to_string()).collect();
    starts(run, &ids, table).await?;
    bar.inc(1);
    let server = Server::start(&run.directory, &run.options.log, &[])?;
    let api = find(&server).await?;
    single_calls(&api, table).await?;
    bar.inc(1);
    compare_with_small(run, &server, &api, &ids, table, || bar.inc(1)).await?;
    resident(&server, "memory after writes, 256 MB cache", table);
    full_list(&server, &api, table).await?;
    bar.finish_and_clear();
    server.stop()
}

/// Measures starts after a kill in the middle of writes.
async fn starts(run: &Run<'_>, ids: &[String], table: &mut Table) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..run.options.rounds {
        let server = Server::start(&run.directory, &run.options.log, &[])?;
        let api = find(&server).await?;
        let connections = vec![Choice::from(scenario::heartbeats(&api, ids)); WRITERS];
        let workload = workload(&server, &connections);
        tokio::select! {
            ended = drive(workload, Duration::from_mins(1)) => drop(ended?),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        server.kill();
        times.push(start_time(&run.directory, &run.options.log).await?);
    }
    table.add_with_target(
        "start after kill -9, to the first answer",
        median(times),
        "s",
        0.5,
    );
    Ok(())
}

async fn start_time(directory: &Path, log: &str) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let server = Server::start(directory, log, &[])?;
    find(&server)
        .await?
        .get(&format!("{SESSIONS}/health"))
        .await?;
    Ok(begun.elapsed().as_secs_f64())
}

fn workload<'a>(server: &Server, connections: &'a [Choice]) -> Workload<'a> {
    Workload {
        address: server.address.socket,
        pid: Some(server.pid()),
        connections,
        checks: true,
    }
}

async fn single_calls(api: &Api, table: &mut Table) -> anyhow::Result<()> {
    let mut connection = connect(&api.target).await?;
    let health = calls(api, &mut connection, |_| format!("{SESSIONS}/health")).await?;
    table.add("health, p50", median(health.clone()), "ms");
    table.add_with_target("health, p99", percentile_99(health), "ms", 2.0);
    let mut cursor = None;
    let mut pages = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let path = match &cursor {
            None => format!("{SESSIONS}?limit=100"),
            Some(cursor) => format!("{SESSIONS}?limit=100&cursor={cursor}"),
        };
        let begun = Instant::now();
        let page = api::call(&api.target, &mut connection, "GET", &path, None).await?;
        pages.push(begun.elapsed().as_secs_f64() * 1000.0);
        cursor = page["nextCursor"].as_str().map(str::to_owned);
    }
    table.add("a page of 100 sessions, p50", median(pages.clone()), "ms");
    table.add_with_target(
        "a page of 100 sessions, p99",
        percentile_99(pages),
        "ms",
        5.0,
    );
    Ok(())
}

async fn calls(
    api: &Api,
    connection: &mut Connection,
    path: impl Fn(usize) -> String,
) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        let begun = Instant::now();
        api::call(&api.target, connection, "GET", &path(number), None).await?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

fn percentile_99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or(0.0)
}

/// Measures creates and heartbeats on the large database and on one of 1,000 sessions, in turn.
async fn compare_with_small(
    run: &Run<'_>,
    large: &Server,
    large_api: &Api,
    ids: &[String],
    table: &mut Table,
    mut step: impl FnMut(),
) -> anyhow::Result<()> {
    let directory = run.directory.with_file_name("small");
    std::fs::create_dir_all(&directory)?;
    let small = Server::start(&directory, &run.options.log, &[])?;
    let small_api = find(&small).await?;
    let small_ids = small_api.create_sessions(1000).await?;
    let creates = Scenario::Create.prepare(large_api, WRITERS, STOCK).await?;
    let small_creates = Scenario::Create.prepare(&small_api, WRITERS, STOCK).await?;
    let beats = same(scenario::heartbeats(large_api, ids));
    let small_beats = same(scenario::heartbeats(&small_api, &small_ids));
    let (mut create, mut beat) = (Pairs::default(), Pairs::default());
    for _ in 0..run.options.rounds {
        let time = run.options.time;
        // Creates add sessions, so the small database's heartbeats come first.
        beat.add(
            workload(&small, &small_beats),
            workload(large, &beats),
            time,
        )
        .await?;
        create
            .add(
                workload(&small, &small_creates),
                workload(large, &creates),
                time,
            )
            .await?;
        step();
    }
    small.stop()?;
    beat.report(
        table,
        [
            "heartbeat p50, small database",
            "heartbeat p50, large database",
            "heartbeat p50, ratio",
        ],
    );
    create.report(
        table,
        [
            "create p50, small database",
            "create p50, large database",
            "create p50, ratio",
        ],
    );
    Ok(())
}

fn same(requests: Vec<Request>) -> Vec<Choice> {
    vec![Choice::from(requests); WRITERS]
}

/// Runs on the small and on the large database.
#[derive(Default)]
struct Pairs {
    small: Vec<Measurement>,
    large: Vec<Measurement>,
}

impl Pairs {
    async fn add(
        &mut self,
        small: Workload<'_>,
        large: Workload<'_>,
        time: Duration,
    ) -> anyhow::Result<()> {
        self.small.push(drive(small, time).await?);
        self.large.push(drive(large, time).await?);
        Ok(())
    }

    fn report(&self, table: &mut Table, [small, large, times]: [&'static str; 3]) {
        table.add(small, Measurement::median(&self.small).p50, "µs");
        table.add(large, Measurement::median(&self.large).p50, "µs");
        let ratios = self
            .small
            .iter()
            .zip(&self.large)
            .map(|(small, large)| large.p50 / small.p50);
        table.add_with_target(times, median(ratios), "", 1.5);
    }
}

fn resident(server: &Server, what: &'static str, table: &mut Table) {
    if let Some((now, _)) = usage::memory(server.pid()) {
        table.add_with_target(what, now as f64 / MEGABYTE, "MiB", 350.0);
    }
}

/// Reads the list of all sessions.
async fn full_list(server: &Server, api: &Api, table: &mut Table) -> anyhow::Result<()> {
    let mut connection = connect(&api.target).await?;
    let request = api.target.request("GET", SESSIONS, None);
    let begun = Instant::now();
    let mut bytes = 0;
    let mut last = Vec::new();
    connection
        .follow(&request, |part| {
            bytes += part.len();
            last.extend_from_slice(part);
            last.drain(..last.len().saturating_sub(5));
            last != b"0\r\n\r\n"
        })
        .await?;
    table.add("the full list", begun.elapsed().as_secs_f64(), "s");
    table.add("the full list", bytes as f64 / 1e6, "MB");
    if let Some((_, most)) = usage::memory(server.pid()) {
        table.add_with_target(
            "peak memory, full list included",
            most as f64 / MEGABYTE,
            "MiB",
            350.0,
        );
    }
    Ok(())
}
