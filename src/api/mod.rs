//! The HTTP API: from the router to the handlers and what they answer.

mod body;
mod call;
mod dto;
mod error;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handlers;
mod json;
mod middleware;
mod openapi;
mod query;
mod router;
mod sse;

pub use self::middleware::{Sockets, service};
pub use self::router::{Endpoint, endpoints};
