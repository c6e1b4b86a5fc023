//! The test server, its client, and assertions.

mod answer;
mod calls;
#[path = "../../support/scripted_backend.rs"]
mod scripted_backend;
mod server;
mod sse;
mod wire;

pub(crate) use self::answer::{Answer, answer, assert_time, assert_v7, names};
pub(crate) use self::calls::{at, contents, eventually, just_before, time};
pub(crate) use self::server::{
    Builder, ELIZA, HOUR, MINUTE, SCRIPTED, SECOND, SESSIONS, START, Server, UNKNOWN_ID, USER,
};
pub(crate) use self::sse::Events;
pub(crate) use self::wire::RawConnection;
