//! The rules of sessions, messages and turns, as plain values.
//!
//! Time is an argument, ids are made elsewhere, and there is no I/O: every rule can be tested with
//! values.

pub mod activity;
pub mod archive;
pub mod continued;
pub mod derived_id;
pub mod error;
pub mod failure;
pub mod id;
pub mod key;
pub mod message;
pub mod number;
pub mod rules;
pub mod search;
pub mod session;
pub mod time;
pub mod timeout;
pub mod trace;
pub mod turn;
pub mod waiting;
