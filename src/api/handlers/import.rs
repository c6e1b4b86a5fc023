//! Importing sessions.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::access::BodyLimit;
use crate::api::dto::ImportAnswer;
use crate::api::error::ApiError;
use crate::api::extract::LinesRequest;
use crate::api::openapi::examples;
use crate::api::openapi::responses::{ImportErrors, StorageErrors};
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::app::MAX_IMPORTED_LINES;

/// The limit of an import's body.
pub(in crate::api) const IMPORT_LIMIT: BodyLimit = BodyLimit {
    bytes: 32 * 1024 * 1024,
    too_large: ApiError::import_too_large,
};

/// Import sessions from JSON Lines
///
/// For administrators: the lines of an export, of at most 32 MiB and 10,000 lines, are imported
/// in one transaction, all or none. Values must be within the bounds of this API, and the sessions
/// must not exist; quotas do not apply. Their open turns are resumed. No events are sent. Only one
/// import runs at a time.
#[utoipa::path(
    post,
    path = "/api/admin/import",
    operation_id = "importSessions",
    tag = "operations",
    request_body(
        content = String, content_type = "application/x-ndjson", description = "The lines",
        examples(("lines" = (value = json!(examples::export())))),
    ),
    responses(
        (
            status = 201, description = "All lines are imported", body = ImportAnswer,
            examples(("imported" = (value = json!(examples::import())))),
        ),
        ImportErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn import(
    State(state): State<ApiState>,
    request: LinesRequest,
) -> Result<Response, ApiError> {
    let slot = state.app.begin_import()?;
    let body = request.receive(IMPORT_LIMIT).await?;
    if has_too_many_lines(&body.bytes) {
        return Err(IMPORT_LIMIT.error());
    }
    let imported = slot.import(body).await?;
    Ok(json(StatusCode::CREATED, &ImportAnswer::new(imported)))
}

fn has_too_many_lines(text: &[u8]) -> bool {
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    lines.count() > MAX_IMPORTED_LINES
}
