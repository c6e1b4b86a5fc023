//! Many sessions that expire within a minute, on top of the others.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use sessiond::clock::Clock;
use sessiond::domain::time::{Millis, Timestamp};

use super::fill::{self, Filler, Made};
use super::table::Table;
use super::{Run, find, rules};
use crate::api::{Api, SESSIONS, connect};
use crate::child::Server;
use crate::drive::{Course, drive};
use crate::report::progress;
use crate::requests::Choice;
use crate::scenario;

/// A minute lasts a second, so that keeping and sweeping can be waited for.
const SETTINGS: &[(&str, &str)] = &[
    ("SESSION_TIME_SCALE", "60"),
    ("SESSION_RETENTION_MINUTES", "0"),
    ("SESSION_CLEANUP_INTERVAL_MINUTES", "1"),
    ("SESSION_MAX_TIMEOUT_MINUTES", "10080"),
    ("SESSION_MAX_DURATION_MINUTES", "20160"),
    ("SESSION_DEFAULT_TIMEOUT_MINUTES", "10080"),
];

/// How long it takes them all to expire.
const WINDOW: Millis = Millis(60_000);

/// How long before their expiry they are warned: five minutes at that scale.
const WARNING: Millis = Millis(5_000);

/// How long until the first of them expires: time to fill, to start and to measure without.
const NOTICE: Millis = Millis(60_000);

/// How long heartbeats are measured without.
const WITHOUT: Duration = Duration::from_secs(15);

/// How long the server has after the last expiry.
const AFTER: Millis = Millis(5_000);

/// How many of them are watched.
const WATCHED: usize = 50;

/// How many connections beat.
const HEARTS: usize = 32;

/// How late the events came, in milliseconds.
#[derive(Default)]
struct Lateness {
    warned: Vec<i64>,
    expired: Vec<i64>,
}

/// Measures how they are warned, expired and purged, and what that does to others.
pub(crate) async fn measure(run: &Run<'_>, table: &mut Table) -> anyhow::Result<()> {
    let bar = progress(4).with_message("expiring");
    let count = run.sessions / 10;
    let first = Clock::system().now() + NOTICE;
    let watched = fill(run, first, count).await?;
    bar.inc(1);
    let server = Server::start(&run.folder, &run.options.log, SETTINGS)?;
    let api = find(&server).await?;
    let hearts = api.create_sessions(1000).await?;
    let hearts = vec![Choice::from(scenario::heartbeats(&api, &hearts)); HEARTS];
    let course = Course {
        address: server.address.socket,
        pid: Some(server.pid()),
        connections: &hearts,
        checks: true,
    };
    let without = drive(course, WITHOUT).await?;
    bar.inc(1);
    let clock = Clock::system();
    if clock.now() + WARNING > first {
        bail!("this machine is too slow: the first sessions expired while others were made");
    }
    let lateness = RefCell::new(Lateness::default());
    let watching = join_all(watched.iter().map(|made| watch(&api, *made, &lateness)));
    let beating = async {
        clock.sleep_until(first).await;
        drive(course, WINDOW.to_duration()).await
    };
    let end = first + WINDOW + rules(SETTINGS)?.kept + AFTER;
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
    table.tell("sessions that expired within a minute", count as f64, "");
    table.tell(
        "of those watched, not warned",
        missing(&lateness.warned, watched.len()),
        "",
    );
    table.tell("warned, latest", worst(&lateness.warned), "ms");
    table.tell(
        "of those watched, not told of the end",
        missing(&lateness.expired, watched.len()),
        "",
    );
    table.hold(
        "told of the end, latest",
        worst(&lateness.expired),
        "ms",
        1000.0,
    );
    table.hold(
        "left 5 s after the end of their keeping",
        left as f64,
        "",
        0.0,
    );
    table.tell(
        "heartbeats beside it, errors",
        during.errors.values().sum::<u64>() as f64,
        "",
    );
    table.tell("heartbeats without, a second", without.per_second, "");
    table.tell("heartbeats beside it, a second", during.per_second, "");
    table.tell("heartbeat p99 without", without.p99, "µs");
    table.tell("heartbeat p99 beside it", during.p99, "µs");
    table.hold(
        "heartbeat p99, times that without",
        during.p99 / without.p99,
        "",
        3.0,
    );
    Ok(())
}

fn missing(heard: &[i64], watched: usize) -> f64 {
    watched.saturating_sub(heard.len()) as f64
}

fn worst(late: &[i64]) -> f64 {
    late.iter().copied().max().unwrap_or(0) as f64
}

/// Adds them; returns those to be watched.
async fn fill(run: &Run<'_>, first: Timestamp, count: usize) -> anyhow::Result<Vec<Made>> {
    let filler = Filler::open(&run.folder, rules(SETTINGS)?, &run.agent)?;
    // Two minutes are two hours at that scale: all of them were created before now.
    let life = fill::timeout(120);
    let born = first - Millis(120_000);
    let times = fill::spread(born, WINDOW, count);
    let keep = (count / WATCHED).max(1);
    let watched = filler.create(count, life, keep, times, |_| {}).await?;
    filler.close().await?;
    Ok(watched)
}

/// Follows the events of a session until it has ended.
async fn watch(api: &Api, made: Made, lateness: &RefCell<Lateness>) -> anyhow::Result<()> {
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

/// How many sessions are still stored whose keeping was over before `then`.
async fn overdue(run: &Run<'_>, then: Timestamp) -> anyhow::Result<usize> {
    let rules = rules(SETTINGS)?;
    let filler = Filler::open(&run.folder, rules, &run.agent)?;
    let until = then - rules.kept;
    let rows = filler.store.due_expiries(None, until, usize::MAX).await?;
    filler.close().await?;
    Ok(rows.len())
}
