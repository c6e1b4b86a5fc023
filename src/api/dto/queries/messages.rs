//! A page of messages.

use serde::Deserialize;
use utoipa::IntoParams;

use super::cursor::{Rounding, time};
use crate::api::dto::schemas;
use crate::app::PageRequest;
use crate::app::error::ValidationError;
use crate::domain::number;

/// The page where no limit is given.
const DEFAULT_LIMIT: usize = 50;
/// The largest page.
const MAX_LIMIT: usize = 100;

/// Which messages of a session.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagePageQuery {
    /// How many to a page, 1 to 100; 50 where it is no number
    pub(super) limit: Option<String>,
    /// Only messages before this time: milliseconds of the epoch, or RFC 3339
    #[param(inline, value_type = Option<schemas::Cursor>)]
    pub(super) before: Option<String>,
    /// Only messages after this time; alone, the page is the oldest of them
    #[param(inline, value_type = Option<schemas::Cursor>)]
    pub(super) after: Option<String>,
}

impl MessagePageQuery {
    /// Judges the parameters. A limit is clamped.
    ///
    /// # Errors
    /// The first that is wrong.
    pub(crate) fn validate(&self) -> Result<PageRequest, ValidationError> {
        Ok(PageRequest {
            limit: limit(self.limit.as_deref()),
            before: time("before", self.before.as_deref(), Rounding::Up)?,
            after: time("after", self.after.as_deref(), Rounding::Down)?,
        })
    }
}

fn limit(text: Option<&str>) -> usize {
    let text = text.unwrap_or_default();
    let number = number::from_text(text);
    if number::is_blank(text) || !number.is_finite() {
        return DEFAULT_LIMIT;
    }
    // The value is a small whole number by then.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let limit = number.clamp(1.0, MAX_LIMIT as f64) as usize;
    limit
}
