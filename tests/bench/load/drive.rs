//! A run: connections that ask for so long, each the next thing as soon as it has its answer.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::future::join_all;

use crate::api::shortened;
use crate::client::Connection;
use crate::figures::{Counter, Figures};
use crate::requests::{Choice, Dice, Request};
use crate::usage;

/// An answer that takes longer than that after the end of a run will not come.
const GRACE: Duration = Duration::from_secs(10);

/// How many answers tell how long they are.
const PROBES: usize = 50;

/// How long a connection that failed waits until it tries again.
const PAUSE: Duration = Duration::from_millis(50);

/// What is run against.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    /// Where the server is.
    pub(crate) address: SocketAddr,
    /// Its process, where it is one of ours.
    pub(crate) pid: Option<u32>,
    /// What the connections ask for, one each.
    pub(crate) connections: &'a [Choice],
    /// Whether the status of an answer matters.
    pub(crate) checks: bool,
}

struct Run<'a> {
    course: Course<'a>,
    from: Instant,
    until: Instant,
    tally: &'a RefCell<Counter>,
}

/// Runs for so long, after a short while that is not measured.
pub(crate) async fn drive(course: Course<'_>, time: Duration) -> anyhow::Result<Figures> {
    let tally = RefCell::new(Counter::new()?);
    let from = Instant::now() + (time / 5).min(Duration::from_secs(1));
    let run = &Run {
        course,
        from,
        until: from + time,
        tally: &tally,
    };
    let all = join_all(
        course
            .connections
            .iter()
            .enumerate()
            .map(|(number, choice)| async move {
                // Not all at once: nobody's clients arrive like that.
                tokio::time::sleep(Duration::from_micros(number as u64 * 50)).await;
                run.connection(choice, Dice::new(number)).await;
            }),
    );
    let watch = async {
        tokio::time::sleep_until(from.into()).await;
        let before = course.pid.and_then(usage::cpu);
        tokio::time::sleep_until(run.until.into()).await;
        Some((course.pid.and_then(usage::cpu)?).saturating_sub(before?))
    };
    let limited = tokio::time::timeout_at((run.until + GRACE).into(), all);
    let (ended, used) = tokio::join!(limited, watch);
    if ended.is_err() {
        tally
            .borrow_mut()
            .bad("unanswered".into(), || "an answer never came".into());
    }
    let tally = tally.borrow();
    let mut figures = tally.figures(time);
    figures.server_cpu = used.map(|used| used.as_secs_f64() * 1e6 / tally.count().max(1) as f64);
    Ok(figures)
}

/// How long the bodies of good answers are; a server that has none is not worth a run.
pub(crate) async fn mean_body(course: Course<'_>) -> anyhow::Result<usize> {
    let mut total = 0;
    let mut dice = Dice::new(0);
    let mut connection = Connection::open(course.address).await?;
    for number in 0..PROBES {
        let choice = &course.connections[number % course.connections.len()];
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
            self.tally
                .borrow_mut()
                .bad("connection".into(), || error.to_string());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks until the end, or until the connection fails.
    async fn ask(&self, choice: &Choice, dice: &mut Dice) -> std::io::Result<()> {
        let mut connection = Connection::open(self.course.address).await?;
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
        let mut tally = self.tally.borrow_mut();
        if self.course.checks && status != request.expected {
            tally.bad(status.to_string(), || shortened(body));
            return;
        }
        let end = Instant::now();
        if start >= self.from && end <= self.until {
            tally.good(end - start, body.len());
        }
    }
}
