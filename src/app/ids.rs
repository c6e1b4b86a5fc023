//! New ids.

use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::Clock;

/// Makes ids that nobody can guess and that a B-tree likes.
#[derive(Debug)]
pub(super) struct Ids {
    clock: Clock,
}

impl Ids {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// A `UUIDv7` with 74 fresh random bits.
    pub(super) fn next(&self) -> Uuid {
        let now = u64::try_from(self.clock.now().0).unwrap_or(0);
        // The remainder is below 1000, so its nanoseconds fit.
        let nanos = u32::try_from(now % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(Timestamp::from_unix(NoContext, now / 1000, nanos))
    }
}
