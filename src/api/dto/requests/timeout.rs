//! Timeouts, of a new session and of one that is there.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::Schema;
use utoipa::{PartialSchema as _, ToSchema};

use super::{Object, schema};
use crate::domain::timeout::{InvalidTimeout, TimeoutOverrides};
use crate::json::{self, Field, JsNumber};

/// How long a session lives. Numbers may be strings
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimeoutRequest {
    // The server's own bounds may be others; these are the ones that it has unless they are set.
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
    /// Judges the fields. What is not a finite number counts as not given.
    ///
    /// # Errors
    /// The first field whose JSON type is wrong.
    pub(crate) fn validate(self) -> Result<TimeoutOverrides, InvalidTimeout> {
        Ok(TimeoutOverrides {
            timeout_minutes: number("timeoutMinutes", self.timeout_minutes)?,
            auto_renew: flag("autoRenew", self.auto_renew)?,
            max_duration_minutes: number("maxDurationMinutes", self.max_duration_minutes)?,
            warning_threshold_minutes: number(
                "warningThresholdMinutes",
                self.warning_threshold_minutes,
            )?,
        })
    }

    /// Judges timeouts that are a field themselves, which may be null.
    pub(super) fn validate_field(
        field: &'static str,
        sent: Field<Object>,
    ) -> Result<TimeoutOverrides, InvalidTimeout> {
        let given = sent.given();
        let given = given.map_err(|found| wrong(field, "an object", found))?;
        json::read::<Self>(given.unwrap_or_default()).validate()
    }
}

fn number(field: &'static str, sent: Field<JsNumber>) -> Result<Option<f64>, InvalidTimeout> {
    let given = sent.given();
    let given = given.map_err(|found| wrong(field, "a number or a numeric string", found))?;
    Ok(given.and_then(|number| number.0))
}

fn flag(field: &'static str, sent: Field<bool>) -> Result<Option<bool>, InvalidTimeout> {
    sent.given()
        .map_err(|found| wrong(field, "true or false", found))
}

fn wrong(field: &'static str, allowed: &str, found: &str) -> InvalidTimeout {
    InvalidTimeout {
        field,
        reason: format!("{field} must be {allowed}, not {found}"),
    }
}

/// Numbers may come as strings, which are read as JavaScript reads them; what is none then, or
/// null, is as good as absent.
fn minutes(example: u32) -> Value {
    json!({ "type": ["number", "string", "null"], "example": example })
}

fn bounded_minutes() -> Schema {
    let mut bounded = minutes(5);
    bounded["minimum"] = 5.into();
    bounded["maximum"] = 1440.into();
    schema(bounded)
}

fn long_minutes() -> Schema {
    schema(minutes(720))
}

fn short_minutes() -> Schema {
    schema(minutes(5))
}

/// The same where the whole may be null, and what is out of bounds is clamped.
pub(super) fn nullable_schema() -> Schema {
    let mut timeouts = json!(TimeoutRequest::schema());
    timeouts["type"] = json!(["object", "null"]);
    timeouts["properties"]["timeoutMinutes"] = minutes(30);
    schema(timeouts)
}
