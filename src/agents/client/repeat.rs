//! Which requests may be sent twice.

/// Whether a request may be carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A model only generates another answer.
    Harmless,
    /// The agent may act twice, so only requests that were not started are retried.
    ActsTwice,
}
