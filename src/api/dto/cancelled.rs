//! Cancelled turns.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::id::MessageId;

/// The turns that a call has closed. The published clients unwrap `data`
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct CancelledTurns {
    success: bool,
    /// Their user messages, oldest first.
    cancelled: Vec<Uuid>,
    #[schema(inline)]
    data: CancelledTurnsData,
}

/// The same values.
#[derive(ToSchema, Serialize)]
struct CancelledTurnsData {
    success: bool,
    cancelled: Vec<Uuid>,
}

impl CancelledTurns {
    pub(in crate::api) fn new(messages: &[MessageId]) -> Self {
        let cancelled: Vec<_> = messages.iter().map(|id| id.0).collect();
        Self {
            success: true,
            data: CancelledTurnsData {
                success: true,
                cancelled: cancelled.clone(),
            },
            cancelled,
        }
    }
}
