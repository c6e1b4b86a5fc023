//! The timeouts that a character file's `settings` ask for.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::domain::timeout::TimeoutOverrides;
use crate::json::JsNumber;

/// Reads a character file's `settings`, where everything unreadable counts as not given.
pub(super) fn read(settings: &Map<String, Value>) -> TimeoutOverrides {
    let number = |name| JsNumber::deserialize(settings.get(name)?).ok()?.0;
    TimeoutOverrides {
        timeout_minutes: number("SESSION_TIMEOUT_MINUTES"),
        auto_renew: settings.get("SESSION_AUTO_RENEW").and_then(flag),
        max_duration_minutes: number("SESSION_MAX_DURATION_MINUTES"),
        warning_threshold_minutes: number("SESSION_WARNING_THRESHOLD_MINUTES"),
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => match number.as_u64() {
            Some(1) => Some(true),
            Some(0) => Some(false),
            _ => None,
        },
        _ => None,
    }
}
