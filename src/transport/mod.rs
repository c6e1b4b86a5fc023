//! The listeners of the server, TCP and the Unix socket.
//!
//! The life of a connection:
//!
//! 1. The accept loop accepts it and asks `Connections` for a slot; without one it is closed.
//! 2. A task serves it until it fails, ends or is closed. Its `ConnectionStream` holds the slot and
//!    limits the time of heads and of writes. hyper reads HTTP/1.1 from it.
//! 3. Each request gets its `Arc<Connection>` as an extension, and a body whose unread rest is
//!    discarded. The connection is busy until the response is written.
//! 4. Between requests it is idle. It is closed after `keep_alive`, or when it is evicted.
//! 5. An upgrade to a WebSocket moves the stream, with the slot, out of the task.
//! 6. At a shutdown, requests in flight have `DRAIN_TIMEOUT`; then all connections are closed.

mod head_timer;
mod http;
#[cfg(test)]
mod hyper_tests;
mod lingering;
pub(crate) mod local_socket;
mod server;
mod stream;

pub(crate) use self::server::serve;
