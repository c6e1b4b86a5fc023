//! The time limits of request heads.
//!
//! hyper has one limit, which starts when it begins to wait for a head: here that of an idle
//! connection. This timer shortens it for the first byte of a connection, and for the rest of a
//! head after its first byte. If hyper reads the first bytes of a head with the previous request,
//! the limit of the head starts with the next bytes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt;
use tokio::time;

/// How long the first byte of a connection, and the rest of a head after its first byte, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The timer of one connection, shared by hyper and the stream that it reads from.
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
    /// Nothing: a request is in flight.
    Request,
}

/// hyper's wait for a head.
struct Wait {
    timer: HeadTimer,
    idle_until: time::Instant,
    sleep: Pin<Box<time::Sleep>>,
}

impl HeadTimer {
    pub(super) fn new() -> Self {
        let phase = Phase::FirstByte(time::Instant::now() + HEAD_TIMEOUT);
        Self(Arc::new(Mutex::new(phase)))
    }

    pub(super) fn bytes_read(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::FirstByte(_) | Phase::Idle) {
            *phase = Phase::Head(time::Instant::now() + HEAD_TIMEOUT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        // No code panics while it holds the lock.
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

    /// Returns how long a wait takes, rounded to seconds.
    async fn seconds(wait: impl Future<Output = ()>) -> u64 {
        let start = time::Instant::now();
        wait.await;
        (start.elapsed() + SECOND / 2).as_secs()
    }

    /// Returns the timer of a connection after its first request.
    fn in_use() -> HeadTimer {
        let timer = HeadTimer::new();
        let head = timer.sleep(SECOND);
        timer.bytes_read();
        drop(head);
        timer
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_at_its_own_deadline() {
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
    async fn a_dropped_wait_does_not_end_the_next_one() {
        let timer = in_use();
        let waiting = time::timeout(SECOND, timer.sleep(SECOND * 75)).await;
        assert!(waiting.is_err());
        assert_eq!(seconds(timer.sleep(SECOND * 75)).await, 75);
    }

    /// This does not depend on `keep_alive`.
    #[tokio::test(start_paused = true)]
    async fn the_first_byte_and_then_the_first_head_have_15_seconds_each() {
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
    async fn a_head_has_15_seconds_from_its_first_byte() {
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
    async fn bytes_during_a_request_do_not_start_a_head() {
        let timer = in_use();
        timer.bytes_read();
        assert_eq!(seconds(timer.sleep(SECOND * 75)).await, 75);
    }
}
