//! Imported sessions.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Imported;

/// The response to an import.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct ImportAnswer {
    success: bool,
    /// The number of imported sessions.
    sessions: u64,
    /// The number of imported messages.
    messages: u64,
    data: ImportData,
}

/// The same fields, for clients that unwrap `data`.
#[derive(ToSchema, Serialize)]
struct ImportData {
    success: bool,
    sessions: u64,
    messages: u64,
}

impl ImportAnswer {
    pub(in crate::api) fn new(imported: Imported) -> Self {
        let Imported {
            sessions, messages, ..
        } = imported;
        Self {
            success: true,
            sessions,
            messages,
            data: ImportData {
                success: true,
                sessions,
                messages,
            },
        }
    }
}
