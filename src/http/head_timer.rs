//! The timer of a connection's heads.
//!
//! hyper asks for a new timer with each request and drops it when the head is there, which has the
//! runtime put one in its wheel and take it out again. Most heads come long before their deadline:
//! one timer for the whole connection, which is moved on only when it fires, does as well.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt;
use tokio::time;

/// Times one connection.
#[derive(Debug, Default)]
pub(super) struct HeadTimer {
    alarm: Arc<Alarm>,
}

/// Wakes the connection at a deadline, or at an earlier one that is past its use.
#[derive(Debug, Default)]
struct Alarm(Mutex<Option<Pin<Box<time::Sleep>>>>);

/// Waits for a deadline.
struct Until {
    deadline: time::Instant,
    alarm: Arc<Alarm>,
}

impl rt::Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Until {
            deadline: deadline.into(),
            alarm: Arc::clone(&self.alarm),
        })
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl rt::Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(self.deadline, cx)
    }
}

impl Alarm {
    fn poll(&self, deadline: time::Instant, cx: &mut Context<'_>) -> Poll<()> {
        // No code panics with the lock held.
        let mut sleep = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = sleep.get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() == deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::rt::Timer as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_lasts_until_its_own_deadline() {
        let timer = HeadTimer::default();
        let second = Duration::from_secs(1);
        let start = time::Instant::now();
        for (deadline, waits_for) in [(3, 3), (2, 3), (5, 5), (9, 9), (8, 9), (20, 20)] {
            timer.sleep_until((start + second * deadline).into()).await;
            let waited = time::Instant::now() - start;
            assert!(waited >= second * waits_for, "{waited:?}");
            assert!(waited < second * waits_for + second / 10, "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_given_up_does_not_end_the_next_one() {
        let timer = HeadTimer::default();
        let second = Duration::from_secs(1);
        let start = time::Instant::now();
        let waiting = time::timeout(second, timer.sleep(second * 15)).await;
        assert!(waiting.is_err());
        timer.sleep(second * 15).await;
        let waited = time::Instant::now() - start;
        assert!(waited >= second * 16 && waited < second * 17, "{waited:?}");
    }
}
