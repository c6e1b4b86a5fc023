//! The API over HTTP/1.1.

mod body;
mod call;
mod counted;
mod dto;
mod error;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod head_timer;
#[cfg(test)]
mod hyper_tests;
mod json;
mod lengths;
mod middleware;
mod openapi;
mod query;
mod router;
mod routes;
mod seldom;
mod server;
mod sse;
mod unread;

pub use self::middleware::Sockets;
pub use self::router::{Endpoint, endpoints};
pub use self::server::{Parts, serve};
