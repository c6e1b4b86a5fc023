//! What the status of an answer says about a failure.

use reqwest::StatusCode;

use crate::domain::failure::FailureReason;

/// Returns a status for operators, with its name if the standard has one.
pub(super) fn shown(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(_) => status.to_string(),
        None => status.as_str().to_owned(),
    }
}

/// Returns the reason that clients receive for an HTTP status that is not a success.
pub(super) fn reason(status: u16) -> FailureReason {
    match status {
        // Several hosts of models use 529, and one 498, for an overload.
        429 | 498 | 529 => FailureReason::Busy,
        413 => FailureReason::TooLong,
        // For legal reasons.
        451 => FailureReason::Refused,
        // Conflicts, locks and failed dependencies end without the operator.
        408 | 409 | 423..=425 | 500..=599 => FailureReason::Unavailable,
        _ => FailureReason::Misconfigured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_a_reason() {
        for (statuses, expected) in [
            (
                &[301, 302, 400, 401, 402, 403, 404, 405, 415, 422][..],
                FailureReason::Misconfigured,
            ),
            (
                &[408, 424, 500, 502, 503, 504, 599],
                FailureReason::Unavailable,
            ),
            (&[429, 529], FailureReason::Busy),
            (&[413], FailureReason::TooLong),
            (&[451], FailureReason::Refused),
        ] {
            for status in statuses {
                assert_eq!(reason(*status), expected, "{status}");
            }
        }
    }
}
