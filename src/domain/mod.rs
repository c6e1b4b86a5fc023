//! The rules of sessions, messages and turns, as plain values.
//!
//! Nothing here reads a clock, makes an id, or knows of a store or a wire: time is an argument,
//! and every rule can be tried with values alone.

pub mod archive;
pub mod error;
pub mod id;
pub mod key;
pub mod message;
pub mod number;
pub mod rules;
pub mod session;
pub mod time;
pub mod timeout;
pub mod turn;
