//! A run: each connection sends its next request as soon as it has an answer, for a given time.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::future::join_all;

use crate::api::shortened;
use crate::client::Connection;
use crate::measurement::{Counter, Measurement};
use crate::requests::{Choice, Dice, Request};
use crate::usage;

/// How long answers are waited for after the end of a run.
const GRACE: Duration = Duration::from_secs(10);

/// Number of answers whose mean length is taken.
const PROBES: usize = 50;

/// How long a connection that failed waits before it reconnects.
const PAUSE: Duration = Duration::from_millis(50);

/// What a run does, and to which server.
#[derive(Clone, Copy)]
pub(crate) struct Workload<'a> {
    /// The server's address.
    pub(crate) address: SocketAddr,
    /// The server's process, if this program started it.
    pub(crate) pid: Option<u32>,
    /// The requests of each connection.
    pub(crate) connections: &'a [Choice],
    /// Whether the status of answers is checked.
    pub(crate) checks: bool,
}

struct Run<'a> {
    workload: Workload<'a>,
    from: Instant,
    until: Instant,
    counter: &'a RefCell<Counter>,
}

/// Runs for this long, after a short warm-up that is not measured.
pub(crate) async fn drive(workload: Workload<'_>, time: Duration) -> anyhow::Result<Measurement> {
    let counter = RefCell::new(Counter::new()?);
    let from = Instant::now() + (time / 5).min(Duration::from_secs(1));
    let run = &Run {
        workload,
        from,
        until: from + time,
        counter: &counter,
    };
    let all = join_all(workload.connections.iter().enumerate().map(
        |(number, choice)| async move {
            // Staggered, since real clients do not arrive all at once.
            tokio::time::sleep(Duration::from_micros(number as u64 * 50)).await;
            run.connection(choice, Dice::new(number)).await;
        },
    ));
    let watch = async {
        tokio::time::sleep_until(from.into()).await;
        let before = workload.pid.and_then(usage::cpu);
        tokio::time::sleep_until(run.until.into()).await;
        Some((workload.pid.and_then(usage::cpu)?).saturating_sub(before?))
    };
    let limited = tokio::time::timeout_at((run.until + GRACE).into(), all);
    let (ended, used) = tokio::join!(limited, watch);
    if ended.is_err() {
        counter
            .borrow_mut()
            .bad("unanswered".into(), || "a request was not answered".into());
    }
    let counter = counter.borrow();
    let mut measurement = counter.measurement(time);
    measurement.server_cpu =
        used.map(|used| used.as_secs_f64() * 1e6 / counter.count().max(1) as f64);
    Ok(measurement)
}

/// Returns the mean length of the bodies, after checking that the answers are as expected.
pub(crate) async fn mean_body(workload: Workload<'_>) -> anyhow::Result<usize> {
    let mut total = 0;
    let mut dice = Dice::new(0);
    let mut connection = Connection::open(workload.address).await?;
    for number in 0..PROBES {
        let choice = &workload.connections[number % workload.connections.len()];
        let request = &choice[dice.below(choice.len())];
        let (status, body) = connection.send(&request.bytes).await?;
        if status != request.expected {
            bail!(
                "the server answers {status} and not {}: {}",
                request.expected,
                shortened(body)
            );
        }
        total += body.len();
    }
    Ok(total / PROBES)
}

impl Run<'_> {
    async fn connection(&self, choice: &Choice, mut dice: Dice) {
        while Instant::now() < self.until {
            let Err(error) = self.ask(choice, &mut dice).await else {
                return;
            };
            self.counter
                .borrow_mut()
                .bad("connection".into(), || error.to_string());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends requests until the end, or until the connection fails.
    async fn ask(&self, choice: &Choice, dice: &mut Dice) -> std::io::Result<()> {
        let mut connection = Connection::open(self.workload.address).await?;
        loop {
            let start = Instant::now();
            if start >= self.until {
                return Ok(());
            }
            let request = &choice[dice.below(choice.len())];
            let (status, body) = connection.send(&request.bytes).await?;
            self.note(request, start, status, body);
        }
    }

    fn note(&self, request: &Request, start: Instant, status: u16, body: &[u8]) {
        let mut counter = self.counter.borrow_mut();
        if self.workload.checks && status != request.expected {
            counter.bad(status.to_string(), || shortened(body));
            return;
        }
        let end = Instant::now();
        if start >= self.from && end <= self.until {
            counter.good(end - start, body.len());
        }
    }
}
