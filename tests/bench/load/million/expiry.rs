//! Many sessions that expire within a minute, beside those in the database.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use sessiond::clock::Clock;
use sessiond::domain::time::{Millis, Timestamp};

use super::fill::{self, Filler, SeededSession};
use super::table::Table;
use super::{Run, find, rules};
use crate::api::{Api, SESSIONS, connect};
use crate::child::Server;
use crate::drive::{Workload, drive};
use crate::report::progress;
use crate::requests::Choice;
use crate::scenario;

/// A minute lasts a second, so that the test can wait for retention and sweeps.
const SETTINGS: &[(&str, &str)] = &[
    ("SESSION_TIME_SCALE", "60"),
    ("SESSION_RETENTION_MINUTES", "0"),
    ("SESSION_CLEANUP_INTERVAL_MINUTES", "1"),
    ("SESSION_MAX_TIMEOUT_MINUTES", "10080"),
    ("SESSION_MAX_DURATION_MINUTES", "20160"),
    ("SESSION_DEFAULT_TIMEOUT_MINUTES", "10080"),
];

/// The time within which all of them expire.
const WINDOW: Millis = Millis(60_000);

/// The time between warning and expiry: five minutes at that scale.
const WARNING: Millis = Millis(5_000);

/// The time until the first of them expires: to fill, to start and to measure the baseline.
const NOTICE: Millis = Millis(60_000);

/// How long heartbeats are measured without expiries.
const WITHOUT: Duration = Duration::from_secs(15);

/// How long the server has after the last expiry.
const AFTER: Millis = Millis(5_000);

/// Number of sessions whose events are observed.
const WATCHED: usize = 50;

/// Number of connections that send heartbeats.
const HEARTBEAT_CONNECTIONS: usize = 32;

/// The delays of the events, in milliseconds.
#[derive(Default)]
struct Lateness {
    warned: Vec<i64>,
    expired: Vec<i64>,
}

/// Measures warnings, expiries and purges, and their effect on other calls.
pub(crate) async fn measure(run: &Run<'_>, table: &mut Table) -> anyhow::Result<()> {
    let bar = progress(4).with_message("expiring");
    let count = run.sessions / 10;
    let first = Clock::system().now() + NOTICE;
    let watched = fill(run, first, count).await?;
    bar.inc(1);
    let server = Server::start(&run.directory, &run.options.log, SETTINGS)?;
    let api = find(&server).await?;
    let heartbeats = api.create_sessions(1000).await?;
    let heartbeats =
        vec![Choice::from(scenario::heartbeats(&api, &heartbeats)); HEARTBEAT_CONNECTIONS];
    let workload = Workload {
        address: server.address.socket,
        pid: Some(server.pid()),
        connections: &heartbeats,
        checks: true,
    };
    let without = drive(workload, WITHOUT).await?;
    bar.inc(1);
    let clock = Clock::system();
    if clock.now() + WARNING > first {
        bail!("this machine is too slow: the first sessions expired while others were created");
    }
    let lateness = RefCell::new(Lateness::default());
    let watching = join_all(watched.iter().map(|made| watch(&api, *made, &lateness)));
    let beating = async {
        clock.sleep_until(first).await;
        drive(workload, WINDOW.to_duration()).await
    };
    let end = first + WINDOW + rules(SETTINGS)?.retention + AFTER;
    let listening = async {
        tokio::select! { _ = watching => {}, () = clock.sleep_until(end) => {} }
    };
    let ((), during) = tokio::join!(listening, beating);
    clock.sleep_until(end).await;
    let during = during?;
    bar.inc(1);
    server.kill();
    let left = overdue(run, clock.now() - AFTER).await?;
    bar.finish_and_clear();
    let lateness = lateness.into_inner();
    table.add("sessions that expired within a minute", count as f64, "");
    table.add(
        "observed sessions without a warning",
        missing(&lateness.warned, watched.len()),
        "",
    );
    table.add("latest warning", worst(&lateness.warned), "ms");
    table.add(
        "observed sessions without an expiry event",
        missing(&lateness.expired, watched.len()),
        "",
    );
    table.add_with_target(
        "latest expiry event",
        worst(&lateness.expired),
        "ms",
        1000.0,
    );
    table.add_with_target(
        "still stored 5 s after their retention",
        left as f64,
        "",
        0.0,
    );
    table.add(
        "heartbeats during expiries, errors",
        during.errors.values().sum::<u64>() as f64,
        "",
    );
    table.add(
        "heartbeats without expiries, per second",
        without.per_second,
        "",
    );
    table.add(
        "heartbeats during expiries, per second",
        during.per_second,
        "",
    );
    table.add("heartbeat p99 without expiries", without.p99, "µs");
    table.add("heartbeat p99 during expiries", during.p99, "µs");
    table.add_with_target("heartbeat p99, ratio", during.p99 / without.p99, "", 3.0);
    Ok(())
}

fn missing(heard: &[i64], watched: usize) -> f64 {
    watched.saturating_sub(heard.len()) as f64
}

fn worst(late: &[i64]) -> f64 {
    late.iter().copied().max().unwrap_or(0) as f64
}

/// Adds the sessions, and returns those to observe.
async fn fill(run: &Run<'_>, first: Timestamp, count: usize) -> anyhow::Result<Vec<SeededSession>> {
    let filler = Filler::open(&run.directory, rules(SETTINGS)?, &run.agent)?;
    // 120 minutes are two minutes at that scale, so all of them were created in the past.
    let life = fill::timeout(120);
    let born = first - Millis(120_000);
    let times = fill::spread(born, WINDOW, count);
    let keep = (count / WATCHED).max(1);
    let watched = filler.create(count, life, keep, times, |_| {}).await?;
    filler.close().await?;
    Ok(watched)
}

/// Reads the events of a session until it has expired.
async fn watch(api: &Api, made: SeededSession, lateness: &RefCell<Lateness>) -> anyhow::Result<()> {
    let clock = Clock::system();
    let request = api
        .target
        .request("GET", &format!("{SESSIONS}/{}/events", made.id), None);
    let mut connection = connect(&api.target).await?;
    let mut heard = String::new();
    let mut warned = false;
    let follow = connection.follow(&request, |part| {
        heard.push_str(&String::from_utf8_lossy(part));
        let now = clock.now();
        if !warned && heard.contains("sessionExpirationWarning") {
            warned = true;
            lateness
                .borrow_mut()
                .warned
                .push(now.since(made.expires_at - WARNING).0);
        }
        let has_ended = heard.contains("sessionExpired");
        if has_ended {
            lateness
                .borrow_mut()
                .expired
                .push(now.since(made.expires_at).0);
        }
        !has_ended
    });
    follow.await?;
    Ok(())
}

/// Returns how many sessions are still stored whose retention was over before `then`.
async fn overdue(run: &Run<'_>, then: Timestamp) -> anyhow::Result<usize> {
    let rules = rules(SETTINGS)?;
    let filler = Filler::open(&run.directory, rules, &run.agent)?;
    let until = then - rules.retention;
    let rows = filler.store.due_expiries(None, until, usize::MAX).await?;
    filler.close().await?;
    Ok(rows.len())
}
