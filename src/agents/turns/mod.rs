//! The turn runner.
//!
//! Each session with open turns has a worker: a task that runs the session's turns one after the
//! other, in the order of the turn store, and ends when none is left. Workers run concurrently;
//! each agent limits its running turns by its slots. All durable state (which turns are open, their
//! order, whether the agent was asked) is in the turn store, so a crash loses nothing else.
//!
//! A turn that waits for a submission occupies no slot: its worker sleeps until the turn's deadline
//! or until it is woken.

pub mod reply_feed;

mod activity;
mod activity_log;
mod activity_output;
mod attempts;
mod failed_turn;
mod retry;
mod run_turn;
mod runner;
mod session_worker;
mod turn_store;

pub use self::runner::{Reservation, Runner, RunnerParts};
pub use self::session_worker::OutputPause;
pub use self::turn_store::{PendingTurn, TurnStore, TurnStoreError};

#[cfg(test)]
mod tests;
