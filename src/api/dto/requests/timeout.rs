//! The timeouts of a session.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::Schema;
use utoipa::{PartialSchema as _, ToSchema};

use super::fields::Object;
use crate::api::dto::schemas::schema;
use crate::domain::timeout::{InvalidTimeout, TimeoutOverrides};
use crate::json::{self, Field, JsNumber};

/// The timeouts of a session. Numbers may be strings
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimeoutRequest {
    // Its bounds are the default ones of the server.
    #[serde(default)]
    #[schema(schema_with = bounded_minutes)]
    timeout_minutes: Field<JsNumber>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    auto_renew: Field<bool>,
    #[serde(default)]
    #[schema(schema_with = long_minutes)]
    max_duration_minutes: Field<JsNumber>,
    #[serde(default)]
    #[schema(schema_with = short_minutes)]
    warning_threshold_minutes: Field<JsNumber>,
}

impl TimeoutRequest {
    /// Validates the fields. A number that is not finite counts as absent. Fails with the first
    /// field of a wrong JSON type.
    pub(crate) fn validate(self) -> Result<TimeoutOverrides, InvalidTimeout> {
        Ok(TimeoutOverrides {
            timeout_minutes: number("timeoutMinutes", self.timeout_minutes)?,
            auto_renew: typed("autoRenew", "true or false", self.auto_renew)?,
            max_duration_minutes: number("maxDurationMinutes", self.max_duration_minutes)?,
            warning_threshold_minutes: number(
                "warningThresholdMinutes",
                self.warning_threshold_minutes,
            )?,
        })
    }

    /// Validates timeouts that are a field of another request, which may be null.
    pub(super) fn validate_field(
        field: &'static str,
        sent: Field<Object>,
    ) -> Result<TimeoutOverrides, InvalidTimeout> {
        let object = typed(field, "an object", sent)?;
        json::read::<Self>(object.unwrap_or_default()).validate()
    }
}

fn number(field: &'static str, sent: Field<JsNumber>) -> Result<Option<f64>, InvalidTimeout> {
    let number = typed(field, "a number or a numeric string", sent)?;
    Ok(number.and_then(|number| number.0))
}

fn typed<T>(
    field: &'static str,
    expected: &str,
    sent: Field<T>,
) -> Result<Option<T>, InvalidTimeout> {
    sent.given().map_err(|found| InvalidTimeout {
        field,
        reason: format!("{field} must be {expected}, not {found}"),
    })
}

/// Returns the schema of a number, which may be a string as JavaScript reads it.
fn minutes(example: u32) -> Value {
    json!({ "type": ["number", "string", "null"], "example": example })
}

fn bounded_minutes() -> Schema {
    let mut bounded = minutes(5);
    bounded["minimum"] = 5.into();
    // Fractions are cut off before the comparison with 1440.
    bounded["exclusiveMaximum"] = 1441.into();
    schema(bounded)
}

fn long_minutes() -> Schema {
    schema(minutes(720))
}

fn short_minutes() -> Schema {
    schema(minutes(5))
}

/// Returns the schema of timeouts that may be null, and are clamped to the bounds.
pub(super) fn nullable_schema() -> Schema {
    let mut timeouts = json!(TimeoutRequest::schema());
    timeouts["type"] = json!(["object", "null"]);
    timeouts["properties"]["timeoutMinutes"] = minutes(30);
    schema(timeouts)
}
