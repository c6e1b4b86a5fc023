//! Writing: the one thread that writes, what waits for it, and its transactions.

pub(in crate::store) mod next_deadline;
pub(in crate::store) mod queue;
pub(in crate::store) mod txn;
pub(in crate::store) mod writer;
