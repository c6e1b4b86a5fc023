//! The result of a probe.

use serde::Serialize;
use utoipa::ToSchema;

use super::schemas;
use crate::app::{ProbeOutcome, ProbedAgent};
use crate::domain::failure::FailureReason;

/// Whether an agent replies.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ProbeAnswer<'a> {
    ok: bool,
    /// The time until the first piece of the reply, in milliseconds. Absent if the agent failed, or
    /// submits its replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first_chunk_ms: Option<u64>,
    /// The model that it requests, if it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    model: Option<&'a str>,
    /// The address of the server behind it, if there is one: scheme, host, port and path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    address: Option<&'a str>,
    /// The reason that clients would receive. Only if the agent failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::FailureReason>, nullable = false)]
    reason: Option<&'static str>,
    /// The cause of the failure, for operators. Only if the agent failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    cause: Option<&'a str>,
}

impl<'a> From<&'a ProbedAgent> for ProbeAnswer<'a> {
    fn from(probed: &'a ProbedAgent) -> Self {
        let answer = Self {
            ok: true,
            first_chunk_ms: None,
            model: probed.model.as_deref(),
            address: probed.address.as_deref(),
            reason: None,
            cause: None,
        };
        match &probed.outcome {
            ProbeOutcome::Replied(after) => Self {
                first_chunk_ms: Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
                ..answer
            },
            ProbeOutcome::RepliesLater => answer,
            ProbeOutcome::Failed { reason, cause } => Self {
                ok: false,
                reason: Some(FailureReason::as_str(*reason)),
                cause: Some(cause),
                ..answer
            },
        }
    }
}
