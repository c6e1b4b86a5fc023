//! The timer of a connection's heads.
//!
//! hyper has one time for a head, which begins when it starts to wait for it: the time between two
//! requests is a part of it. Here that time is for an idle connection alone. The first byte of a
//! connection, and the rest of a head once its first byte has been read, have a time of their own.
//! Where hyper reads the first bytes of a head together with the request before it, the time of the
//! head begins with the next byte; until then the connection counts as idle.
//!
//! hyper asks for a new timer with each request and drops it when the head is there, which has the
//! runtime put one in its wheel and take it out again. Most heads come long before their deadline:
//! one timer for the whole connection, which is moved on only when it fires, does as well.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt;
use tokio::time;

/// How long the first byte of a connection, and the rest of a head after its first byte, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Times one connection.
#[derive(Debug)]
pub(super) struct HeadTimer(Arc<Shared>);

/// Tells a connection's timer of the bytes that are read from it.
#[derive(Debug)]
pub(super) struct Reads(Arc<Shared>);

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Wakes the connection at its deadline, or at an earlier one that is past its use.
    alarm: Option<Pin<Box<time::Sleep>>>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The first byte that it ever brings, until then.
    FirstByte(time::Instant),
    /// The first byte of its next head, for as long as hyper says.
    NextHead,
    /// The rest of a head, until then.
    RestOfHead(time::Instant),
    /// No head: a request is under way.
    Nothing,
}

/// hyper's wait for a head.
struct Wait {
    deadline: time::Instant,
    shared: Arc<Shared>,
}

impl HeadTimer {
    /// Starts with the connection.
    pub(super) fn new() -> Self {
        let state = State {
            stage: Stage::FirstByte(time::Instant::now() + HEAD_TIMEOUT),
            alarm: None,
        };
        Self(Arc::new(Shared(Mutex::new(state))))
    }

    /// To be told of what is read.
    pub(super) fn reads(&self) -> Reads {
        Reads(Arc::clone(&self.0))
    }
}

impl Reads {
    /// Notes that bytes have been read.
    pub(super) fn arrived(&self) {
        let mut state = self.0.lock();
        if matches!(state.stage, Stage::FirstByte(_) | Stage::NextHead) {
            state.stage = Stage::RestOfHead(time::Instant::now() + HEAD_TIMEOUT);
        }
    }
}

impl rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        let mut state = self.0.lock();
        if let Stage::Nothing = state.stage {
            state.stage = Stage::NextHead;
        }
        Box::pin(Wait {
            deadline: deadline.into(),
            shared: Arc::clone(&self.0),
        })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl rt::Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.lock().poll(self.deadline, cx)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.lock().stage = Stage::Nothing;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&mut self, idle_until: time::Instant, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.stage {
            Stage::FirstByte(deadline) | Stage::RestOfHead(deadline) => deadline,
            Stage::NextHead | Stage::Nothing => idle_until,
        };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() == deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer as _;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many seconds a wait takes, to the nearest.
    async fn seconds(wait: impl Future<Output = ()>) -> u64 {
        let start = time::Instant::now();
        wait.await;
        (start.elapsed() + SECOND / 2).as_secs()
    }

    /// The timer of a connection that has brought a request.
    fn in_use() -> HeadTimer {
        let timer = HeadTimer::new();
        let head = timer.sleep(SECOND);
        timer.reads().arrived();
        drop(head);
        timer
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_lasts_until_its_own_deadline() {
        let timer = in_use();
        let start = time::Instant::now();
        for (deadline, waits_for) in [(3, 3), (2, 3), (5, 5), (9, 9), (8, 9), (20, 20)] {
            timer.sleep_until((start + SECOND * deadline).into()).await;
            let waited = time::Instant::now() - start;
            assert!(waited >= SECOND * waits_for, "{waited:?}");
            assert!(waited < SECOND * waits_for + SECOND / 10, "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_given_up_does_not_end_the_next_one() {
        let timer = in_use();
        let waiting = time::timeout(SECOND, timer.sleep(SECOND * 75)).await;
        assert!(waiting.is_err());
        assert_eq!(seconds(timer.sleep(SECOND * 75)).await, 75);
    }

    /// However long an idle connection stays open.
    #[tokio::test(start_paused = true)]
    async fn a_connection_has_fifteen_seconds_to_its_first_byte_and_from_there_to_its_first_head() {
        for keep_alive in [SECOND * 5, SECOND * 75] {
            let timer = HeadTimer::new();
            assert_eq!(seconds(timer.sleep(keep_alive)).await, 15);
            let timer = HeadTimer::new();
            let mut head = timer.sleep(keep_alive);
            assert!(time::timeout(SECOND * 10, head.as_mut()).await.is_err());
            timer.reads().arrived();
            assert_eq!(seconds(head).await, 15);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_fifteen_seconds_from_its_first_byte_and_no_more_by_the_next_ones() {
        for keep_alive in [SECOND * 5, SECOND * 75] {
            let timer = in_use();
            let mut head = timer.sleep(keep_alive);
            assert!(time::timeout(SECOND * 4, head.as_mut()).await.is_err());
            timer.reads().arrived();
            assert!(time::timeout(SECOND * 14, head.as_mut()).await.is_err());
            timer.reads().arrived();
            assert_eq!(seconds(head).await, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_with_a_request_under_way_is_no_head() {
        let timer = in_use();
        timer.reads().arrived();
        assert_eq!(seconds(timer.sleep(SECOND * 75)).await, 75);
    }
}
