//! The error that a client reads, and the sources that it is made from.
//!
//! What the log reads is written where the failure is found.

mod api_error;
mod from_app;
mod kinds;
mod requests;

pub(super) use self::api_error::ApiError;
pub(super) use self::from_app::Call;
