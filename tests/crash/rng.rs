//! Reproducible random numbers.

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The variable with the seed of an earlier run.
pub(crate) const SEED: &str = "SESSIOND_CRASH_SEED";

/// `SplitMix64`.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, which must not be zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns one of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let end = u64::try_from(of.len()).expect("a short list");
        of[usize::try_from(self.below(end)).expect("a short list")]
    }
}

/// Returns the seed from the environment, or a new one.
pub(crate) fn seed() -> u64 {
    match env::var(SEED) {
        Ok(text) => text.parse().expect("the seed is a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}
