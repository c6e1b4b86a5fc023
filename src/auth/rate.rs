//! Rate limits.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::{HashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, clock};

use super::address::client_key;
use crate::clock::Clock;
use crate::domain::id::SessionId;

/// The maximum number of keys with their own quota. Further ones share one, so that memory is
/// bounded.
const MAX_KEYS: usize = 100_000;

/// The number of calls between two clean-ups. Each visits all keys, about a hundred per call.
const CLEAN_UP_EVERY: usize = 1024;

/// Rate limits per minute; 0 disables a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Sessions that an address may create.
    pub creates: u32,
    /// Messages that an address may send to a session.
    pub messages: u32,
}

/// The rate limiters.
#[derive(Debug)]
pub struct RateLimits {
    creates: Option<RateLimiter<IpAddr>>,
    messages: Option<RateLimiter<(SessionId, IpAddr)>>,
}

impl RateLimits {
    /// Returns rate limiters with full quotas.
    #[must_use]
    pub fn new(rates: Rates, clock: &Clock) -> Self {
        Self {
            creates: RateLimiter::per_minute(rates.creates, clock),
            messages: RateLimiter::per_minute(rates.messages, clock),
        }
    }

    /// Counts the creation of a session.
    ///
    /// # Errors
    /// The address has created too many.
    pub fn count_create(&self, address: IpAddr) -> Result<(), RateLimitExceeded> {
        let limiter = self.creates.as_ref();
        limiter.map_or(Ok(()), |limiter| limiter.count(&client_key(address)))
    }

    /// Counts a message.
    ///
    /// # Errors
    /// The address has sent too many to the session.
    pub fn count_message(
        &self,
        session: SessionId,
        address: IpAddr,
    ) -> Result<(), RateLimitExceeded> {
        let (limiter, key) = (self.messages.as_ref(), (session, client_key(address)));
        limiter.map_or(Ok(()), |limiter| limiter.count(&key))
    }
}

#[derive(Debug)]
struct RateLimiter<K: Clone + Hash + Eq> {
    limiter: governor::RateLimiter<K, Bounded<K>, Monotonic, NoOpMiddleware<Duration>>,
    calls: AtomicUsize,
}

/// The rate limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Too many requests; try again in {retry_after} s")]
pub struct RateLimitExceeded {
    /// When the next call is allowed: in this many seconds, at least 1.
    pub retry_after: u64,
}

impl<K: Clone + Hash + Eq> RateLimiter<K> {
    /// Returns a limiter, or `None` if `calls` is 0.
    fn per_minute(calls: u32, clock: &Clock) -> Option<Self> {
        Some(Self::with_keys(NonZeroU32::new(calls)?, clock, MAX_KEYS))
    }

    fn with_keys(calls: NonZeroU32, clock: &Clock, max_keys: usize) -> Self {
        let states = Bounded {
            max_keys,
            states: HashMapStateStore::default(),
            shared: InMemoryState::default(),
        };
        let (quota, clock) = (Quota::per_minute(calls), Monotonic(clock.clone()));
        Self {
            limiter: governor::RateLimiter::new(quota, states, clock),
            calls: AtomicUsize::new(0),
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// The key had too many calls. This one does not count.
    fn count(&self, key: &K) -> Result<(), RateLimitExceeded> {
        self.clean_up();
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now());
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            RateLimitExceeded {
                retry_after: u64::try_from(seconds).unwrap_or(u64::MAX),
            }
        })
    }

    /// Removes keys with a full quota, which they have a minute after their last call.
    fn clean_up(&self) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if calls.is_multiple_of(CLEAN_UP_EVERY) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

/// A store with a state for each of `max_keys` keys, and a shared state for all others.
#[derive(Debug)]
struct Bounded<K: Hash + Eq + Clone> {
    max_keys: usize,
    states: HashMapStateStore<K>,
    shared: InMemoryState,
}

impl<K: Hash + Eq + Clone> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let has_state = {
            let states = self.states.lock();
            states.len() < self.max_keys || states.contains_key(key)
        };
        if has_state {
            return self.states.measure_and_replace(key, measure);
        }
        self.shared.measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Bounded<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.states.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.states.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.states.len()
    }

    fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

#[derive(Debug, Clone)]
struct Monotonic(Clock);

impl clock::Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn limiter(max_keys: usize) -> (RateLimiter<u32>, crate::clock::ClockHand) {
        let (clock, hand) = Clock::manual(Timestamp(1_000));
        let calls = NonZeroU32::new(10).unwrap();
        (RateLimiter::with_keys(calls, &clock, max_keys), hand)
    }

    #[test]
    fn a_key_has_a_burst_and_then_its_rate() {
        let (limiter, hand) = limiter(10);
        for _ in 0..10 {
            assert_eq!(limiter.count(&1), Ok(()));
        }
        assert_eq!(limiter.count(&1), Err(RateLimitExceeded { retry_after: 6 }));
        assert_eq!(limiter.count(&2), Ok(()), "another key has its own");
        hand.advance(Duration::from_millis(5_500));
        assert_eq!(limiter.count(&1), Err(RateLimitExceeded { retry_after: 1 }));
        hand.advance(Duration::from_millis(500));
        assert_eq!(limiter.count(&1), Ok(()));
        assert_eq!(limiter.count(&1), Err(RateLimitExceeded { retry_after: 6 }));
    }

    #[test]
    fn any_number_of_keys_takes_bounded_memory_and_keeps_the_limit() {
        let (limiter, hand) = limiter(100);
        assert_eq!(limiter.count(&0), Ok(()));
        let allowed = (1..5_000).filter(|key| limiter.count(key).is_ok()).count();
        assert_eq!(allowed, 109, "ninety-nine keys once, the others share ten");
        for _ in 0..9 {
            assert_eq!(limiter.count(&0), Ok(()), "it keeps its own quota");
        }
        assert!(limiter.count(&0).is_err());
        assert_eq!(limiter.limiter.len(), 100);
        hand.advance(Duration::from_mins(2));
        let allowed = (5_000..10_000)
            .filter(|key| limiter.count(key).is_ok())
            .count();
        assert!(allowed >= 110, "{allowed}: the first hundred are removed");
        assert!(limiter.limiter.len() <= 100);
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_share_one_quota() {
        let (clock, _hand) = Clock::manual(Timestamp(0));
        let rates = Rates {
            creates: 10,
            messages: 10,
        };
        let limits = RateLimits::new(rates, &clock);
        let session = SessionId::from(1);
        let from = |host: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, host]);
        let creates = (0..30).filter(|host| limits.count_create(from(*host)).is_ok());
        assert_eq!(creates.count(), 10);
        let messages = (0..30).filter(|host| limits.count_message(session, from(*host)).is_ok());
        assert_eq!(messages.count(), 10);
        let neighbour = IpAddr::from([0x2001, 0xdb8, 1, 3, 0, 0, 0, 1]);
        assert_eq!(limits.count_create(neighbour), Ok(()));
    }

    #[test]
    fn a_limit_of_zero_disables_the_limiter() {
        let (clock, _hand) = Clock::manual(Timestamp(0));
        assert!(RateLimiter::<u32>::per_minute(0, &clock).is_none());
    }
}
