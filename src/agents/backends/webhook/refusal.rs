//! Refusals: a webhook says to the user why it does not reply.

use reqwest::StatusCode;
use serde_json::Value;

use crate::agents::backend::BackendError;
use crate::agents::client::http_client::ErrorResponse;
use crate::domain::failure::FailureReason;
use crate::domain::turn::{MAX_ERROR_CHARS, without_control};
use crate::json;

/// The statuses of a refusal. All others are failures, whatever the body says.
const STATUSES: [StatusCode; 5] = [
    StatusCode::BAD_REQUEST,
    StatusCode::PAYMENT_REQUIRED,
    StatusCode::CONFLICT,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
];

/// Returns the error of a response that refuses with `{error: {message}}`; `None` if it does not.
pub(super) fn refusal(response: &ErrorResponse) -> Option<BackendError> {
    if !STATUSES.contains(&response.status) {
        return None;
    }
    let message = message(&response.body)?;
    // The message is not part of the cause: it may repeat the conversation.
    let cause = format!(
        "it refused with {} and a message for the user",
        response.status
    );
    let error = BackendError::new(FailureReason::Refused, cause);
    Some(BackendError {
        message: Some(message),
        ..error
    })
}

/// Returns the message in a body, as the user may read it; `None` if it has none or a blank one.
fn message(body: &[u8]) -> Option<String> {
    let body: Value = json::from_js(body).ok()?;
    let message = body.get("error")?.get("message")?.as_str()?;
    let readable = without_control(message);
    let readable: String = readable.chars().take(MAX_ERROR_CHARS).collect();
    (!readable.trim().is_empty()).then_some(readable)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::plain("Not today.", "Not today.")]
    #[case::blanks(" Not today. ", " Not today. ")]
    #[case::control("\u{1b}[31mNot\r\n\0 today.\u{85}", "[31mNot today.")]
    #[case::longest(&"ü".repeat(500), &"ü".repeat(500))]
    #[case::too_long(&"ü".repeat(501), &"ü".repeat(500))]
    #[case::control_characters_do_not_count(&format!("{}{}", "\n".repeat(500), "x"), "x")]
    fn a_message_is_cut_and_cleaned(#[case] sent: &str, #[case] shown: &str) {
        let body = json!({ "error": { "message": sent, "code": 7 }, "other": 1 }).to_string();
        assert_eq!(message(body.as_bytes()).as_deref(), Some(shown));
    }

    #[rstest]
    #[case::cut_character(r#"{"error":{"message":"Not \ud83c"}}"#, Some("Not \u{fffd}"))]
    #[case::byte_order_mark("\u{feff}{\"error\":{\"message\":\"No\"}}", Some("No"))]
    #[case::last_counts(r#"{"error":{"message":"a","message":"b"}}"#, Some("b"))]
    #[case::no_body("", None)]
    #[case::text("Not today.", None)]
    #[case::message_only(r#"{"message":"Not today."}"#, None)]
    #[case::error_is_text(r#"{"error":"Not today."}"#, None)]
    #[case::list(r#"[{"error":{"message":"Not today."}}]"#, None)]
    #[case::number(r#"{"error":{"message":7}}"#, None)]
    #[case::blank(r#"{"error":{"message":" \u0000\n "}}"#, None)]
    #[case::cut_body(r#"{"error":{"message":"Not"#, None)]
    fn only_a_message_in_an_error_counts(#[case] body: &str, #[case] shown: Option<&str>) {
        assert_eq!(message(body.as_bytes()).as_deref(), shown);
    }
}
