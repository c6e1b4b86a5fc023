//! The error of an invalid command line that clap cannot find.

/// Arguments that do not fit together, or the lack of one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);
