//! The time limits for heads of requests.
//!
//! hyper has one limit, which starts when it begins to wait for a head. It is the limit of an idle
//! connection here. The first byte of a connection, and the rest of a head after its first byte,
//! have a limit of their own: this timer shortens hyper's wait. Where hyper reads the first bytes of
//! a head together with the request before it, the limit of the head starts with the next bytes;
//! until then the connection counts as idle.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt;
use tokio::time;

/// How long the first byte of a connection, and the rest of a head after its first byte, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The timer of one connection, for hyper and for the stream that hyper reads from.
#[derive(Debug, Clone)]
pub(super) struct HeadTimer(Arc<Mutex<Phase>>);

/// What a connection waits for.
#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Its first byte, until the deadline.
    FirstByte(time::Instant),
    /// The first byte of the next head, until hyper's deadline.
    Idle,
    /// The rest of a head, until the deadline.
    Head(time::Instant),
    /// No head: a request is in flight.
    Request,
}

/// hyper's wait for a head.
struct Wait {
    timer: HeadTimer,
    /// hyper's deadline.
    idle_until: time::Instant,
    sleep: Pin<Box<time::Sleep>>,
}

impl HeadTimer {
    /// The timer of a connection that starts now.
    pub(super) fn new() -> Self {
        let deadline = time::Instant::now() + HEAD_TIMEOUT;
        Self(Arc::new(Mutex::new(Phase::FirstByte(deadline))))
    }

    /// Notes that bytes were read from the connection.
    pub(super) fn bytes_read(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::FirstByte(_) | Phase::Idle) {
            *phase = Phase::Head(time::Instant::now() + HEAD_TIMEOUT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Request) {
            *phase = Phase::Idle;
        }
        Box::pin(Wait {
            timer: self.clone(),
            idle_until: deadline.into(),
            sleep: Box::pin(time::sleep_until(deadline.into())),
        })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl rt::Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let phase = *self.timer.lock();
        let deadline = match phase {
            Phase::FirstByte(deadline) | Phase::Head(deadline) => deadline,
            Phase::Idle | Phase::Request => self.idle_until,
        };
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        *self.timer.lock() = Phase::Request;
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
        timer.bytes_read();
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
            timer.bytes_read();
            assert_eq!(seconds(head).await, 15);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_fifteen_seconds_from_its_first_byte_and_no_more_by_the_next_ones() {
        for keep_alive in [SECOND * 5, SECOND * 75] {
            let timer = in_use();
            let mut head = timer.sleep(keep_alive);
            assert!(time::timeout(SECOND * 4, head.as_mut()).await.is_err());
            timer.bytes_read();
            assert!(time::timeout(SECOND * 14, head.as_mut()).await.is_err());
            timer.bytes_read();
            assert_eq!(seconds(head).await, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_arrives_with_a_request_under_way_is_no_head() {
        let timer = in_use();
        timer.bytes_read();
        assert_eq!(seconds(timer.sleep(SECOND * 75)).await, 75);
    }
}
