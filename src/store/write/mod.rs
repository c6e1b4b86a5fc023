//! Writing: the writer thread, its queue, and its transactions.

pub(crate) mod next_deadline;
pub(crate) mod queue;
pub(crate) mod txn;
mod watch;
pub(crate) mod writer;
