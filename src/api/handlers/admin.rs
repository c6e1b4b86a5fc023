//! Endpoints for operators.

use std::io;

use async_stream::try_stream;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::Stream;

use crate::api::dto::queries::ExportQuery;
use crate::api::dto::schemas;
use crate::api::dto::{LogAnswer, StorageAnswer, VerificationAnswer};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::openapi::examples;
use crate::api::openapi::responses::{AnySessionErrors, QueryErrors, StorageErrors};
use crate::api::response::{json, streamed};
use crate::api::state::ApiState;
use crate::app::error::AppError;
use crate::app::{BackupFile, Export};

/// How many bytes of a backup are read at once.
const PIECE: u64 = 256 * 1024;

/// Download a checked copy of the database
///
/// For administrators. Writers do not wait for it. Only one backup runs at a time.
#[utoipa::path(
    get,
    path = "/api/admin/backup",
    operation_id = "backupDatabase",
    tag = "operations",
    responses(
        (
            status = 200, description = "The copy",
            content_type = "application/octet-stream", body = schemas::Bytes,
        ),
        StorageErrors,
    ),
)]
pub(in crate::api) async fn backup(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let backup = state.app.backup().await?;
    let headers = [
        (header::CONTENT_LENGTH, backup.length().to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"sessiond.backup\"".to_owned(),
        ),
    ];
    Ok((headers, Body::from_stream(pieces(backup))).into_response())
}

fn pieces(backup: BackupFile) -> impl Stream<Item = io::Result<Bytes>> {
    try_stream! {
        let mut offset = 0;
        while offset < backup.length() {
            let length = PIECE.min(backup.length() - offset);
            let piece = backup.read(offset, usize::try_from(length).unwrap_or(0)).await?;
            yield piece.into();
            offset += length;
        }
    }
}

/// Export sessions as JSON Lines
///
/// For administrators: a `session` line, then its `message` lines, oldest first. With `session` or
/// `userId`, only that session or the sessions of that user.
#[utoipa::path(
    get,
    path = "/api/admin/export",
    operation_id = "exportSessions",
    tag = "operations",
    params(ExportQuery),
    responses(
        (
            status = 200, description = "The lines",
            content_type = "application/x-ndjson", body = String,
            examples(("lines" = (value = json!(examples::export())))),
        ),
        QueryErrors,
        AnySessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn export(
    State(state): State<ApiState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let export = state.app.export(query.validate()?).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"sessiond-export.jsonl\"",
        ),
    ];
    Ok((headers, streamed(slices(export)).await?).into_response())
}

fn slices(mut export: Export) -> impl Stream<Item = Result<String, AppError>> {
    try_stream! {
        while let Some(lines) = export.next_lines().await? {
            yield lines;
            // Reads do not suspend; other tasks get their turn here.
            tokio::task::yield_now().await;
        }
    }
}

/// Get the state of the database file
///
/// For administrators: its size, its last verification and its last backup.
#[utoipa::path(
    get,
    path = "/api/admin/storage",
    operation_id = "getStorage",
    tag = "operations",
    responses(
        (
            status = 200, description = "The state", body = StorageAnswer,
            examples(("storage" = (value = json!(examples::storage())))),
        ),
        StorageErrors,
    ),
)]
pub(in crate::api) async fn storage(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let storage = StorageAnswer::from(state.app.storage().await?);
    Ok(json(StatusCode::OK, &storage))
}

/// Verify the database file
///
/// For administrators. The verification runs in the background; if one is already running, its
/// start is returned. Its findings are in `GET /api/admin/storage`, in health, in the log and in
/// the metrics.
#[utoipa::path(
    post,
    path = "/api/admin/storage/verify",
    operation_id = "verifyStorage",
    tag = "operations",
    responses((
        status = 202, description = "The verification is running", body = VerificationAnswer,
        examples(("running" = (value = json!(examples::verification())))),
    )),
)]
pub(in crate::api) async fn verify(State(state): State<ApiState>) -> Response {
    let started_at = state.app.begin_verification();
    json(StatusCode::ACCEPTED, &VerificationAnswer { started_at })
}

/// Get the last warnings and errors of the log
///
/// For administrators: the last 200 lines of the levels WARN and ERROR since the start, oldest
/// first, as far as `RUST_LOG` lets them into the log. A text of more than 2 KiB is cut, and all
/// texts of a line have at most 8 KiB. Lines contain neither conversations nor secrets.
#[utoipa::path(
    get,
    path = "/api/admin/log",
    operation_id = "getLog",
    tag = "operations",
    responses((
        status = 200, description = "The lines", body = LogAnswer<'_>,
        examples(("lines" = (value = json!(examples::log())))),
    )),
)]
pub(in crate::api) async fn log(State(state): State<ApiState>) -> Response {
    let lines = state.app.recent_log_lines();
    json(
        StatusCode::OK,
        &LogAnswer::new(lines.iter().map(AsRef::as_ref)),
    )
}
