//! A page of messages.

use serde::Deserialize;
use utoipa::IntoParams;

use super::parameter::{Rounding, time};
use crate::api::dto::schemas;
use crate::app::PageRequest;
use crate::app::error::ValidationError;
use crate::domain::number;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagePageQuery {
    /// The size of the page, 1 to 100; 50 if it is not a number
    pub(super) limit: Option<String>,
    /// Only messages before this time: milliseconds since the epoch, or RFC 3339
    #[param(inline, value_type = Option<schemas::Cursor>)]
    pub(super) before: Option<String>,
    /// Only messages after this time. Without `before`, the page is the oldest of them
    #[param(inline, value_type = Option<schemas::Cursor>)]
    pub(super) after: Option<String>,
}

impl MessagePageQuery {
    /// Parses the parameters. The limit is clamped. Fails with the first invalid one.
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
    // Clamped, it is a small positive number.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let limit = number.clamp(1.0, MAX_LIMIT as f64) as usize;
    limit
}
