//! Extractors of the handlers. Their rejections are API errors.

mod json;
mod lines;
mod params;

#[cfg(any(test, feature = "fuzzing"))]
pub(super) use self::json::read;
pub(super) use self::json::{ApiJson, OptionalJson};
pub(super) use self::lines::LinesRequest;
pub(super) use self::params::{AgentPath, KeyHeader, Query, SessionPath};
