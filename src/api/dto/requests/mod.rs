//! The bodies of requests, as HTTP and Socket.IO read them.
//!
//! A struct reads any JSON object, since its fields are [`Field`](crate::json::Field)s. `validate`
//! checks them in the documented order.

mod cancel;
mod create;
pub(super) mod fields;
mod search;
mod send;
mod submit;
#[cfg(test)]
mod tests;
mod timeout;
mod update;

pub(crate) use self::cancel::CancelRequest;
pub(crate) use self::create::CreateSessionRequest;
pub(crate) use self::search::SearchMessagesRequest;
pub(crate) use self::send::{ReplyTransport, SendMessageRequest, StreamMessageRequest};
pub(crate) use self::submit::SubmitRequest;
pub(crate) use self::timeout::TimeoutRequest;
pub(crate) use self::update::UpdateSessionRequest;
