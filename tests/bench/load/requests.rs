//! The requests of a connection.

/// A request as bytes, and the status of a good answer.
#[derive(Clone)]
pub(crate) struct Request {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The expected status.
    pub(crate) expected: u16,
}

/// The requests among which a connection chooses at random.
pub(crate) type Choice = std::rc::Rc<[Request]>;

/// A random generator with a fixed seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// Returns the generator of a connection.
    pub(crate) fn new(connection: usize) -> Self {
        Self(connection as u64 + 1)
    }

    /// Returns a number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64: random enough for a choice, and cheap.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
