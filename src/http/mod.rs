//! The API over HTTP/1.1.

mod auth;
mod connections;
mod dto;
mod error;
mod extract;
mod middleware;
mod query;
mod router;
mod routes;
mod server;
mod sse;

pub use self::server::serve;
