//! What an operator asks for.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};

use crate::api::dto::queries::ExportQuery;
use crate::api::dto::schemas;
use crate::api::dto::{self, StorageAnswer, VerificationAnswer};
use crate::api::error::ApiError;
use crate::api::extract::Query;
use crate::api::openapi::examples;
use crate::api::openapi::responses::{AnySessionErrors, StorageErrors};
use crate::api::state::ApiState;
use crate::app::{Backup, Export};

/// How much of a backup is read and sent at once.
const PIECE: usize = 256 * 1024;

/// `GET /api/admin/backup`
#[utoipa::path(
    get,
    path = "/api/admin/backup",
    operation_id = "backupDatabase",
    tag = "operations",
    summary = "Download a checked copy of the database",
    description = "For administrators. It is made without keeping writers waiting, one at a time.",
    responses(
        (status = 200, description = "The copy", content_type = "application/octet-stream", body = schemas::Bytes),
        StorageErrors,
    ),
)]
pub(in crate::api) async fn backup(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let backup = state.app.backup().await?;
    let length = backup.length();
    let pieces = stream::unfold((backup, 0), |(backup, offset)| next_piece(backup, offset));
    let name = HeaderValue::from_static("attachment; filename=\"sessiond.backup\"");
    let mut response = attachment(Body::from_stream(pieces), "application/octet-stream", name);
    let length = HeaderValue::from(length);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    Ok(response)
}

/// `GET /api/admin/export`
#[utoipa::path(
    get,
    path = "/api/admin/export",
    operation_id = "exportSessions",
    tag = "operations",
    summary = "Export sessions as JSON Lines",
    description = "For administrators: a `session` line, then its `message` lines, oldest first.",
    params(ExportQuery),
    responses(
        (status = 200, description = "The lines", content_type = "application/x-ndjson", body = String, examples(("lines" = (value = json!(examples::export()))))),
        AnySessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn export(
    State(state): State<ApiState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, ApiError> {
    let mut export = state.app.export(query.session.as_deref()).await?;
    // What fails in the first slice is an error of its own; what fails later cuts the body off.
    let first = export.next_lines().await?.unwrap_or_default();
    let rest = stream::unfold(Some(export), next_lines);
    let lines = stream::iter([Ok(Bytes::from(first))]).chain(rest);
    let name = HeaderValue::from_static("attachment; filename=\"sessiond-export.jsonl\"");
    let body = Body::from_stream(lines);
    Ok(attachment(body, "application/x-ndjson", name))
}

/// `GET /api/admin/storage`
#[utoipa::path(
    get,
    path = "/api/admin/storage",
    operation_id = "getStorage",
    tag = "operations",
    summary = "Show how the database file stands",
    description = "For administrators: its size, its last verification and its last backup.",
    responses(
        (status = 200, description = "How it stands", body = StorageAnswer, examples(("storage" = (value = json!(examples::storage()))))),
        StorageErrors,
    ),
)]
pub(in crate::api) async fn storage(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let storage = StorageAnswer::from(state.app.storage().await?);
    Ok(dto::json(StatusCode::OK, &storage))
}

/// `POST /api/admin/storage/verify`
#[utoipa::path(
    post,
    path = "/api/admin/storage/verify",
    operation_id = "verifyStorage",
    tag = "operations",
    summary = "Verify the database file",
    description = "For administrators. It is done in the background; where that goes on already, it says since when. What it finds is in `GET /api/admin/storage`, in health, in the log and in the metrics.",
    responses(
        (status = 202, description = "It is being verified", body = VerificationAnswer, examples(("running" = (value = json!(examples::verification()))))),
    ),
)]
pub(in crate::api) async fn verify(State(state): State<ApiState>) -> Response {
    let started_at = state.app.begin_verification();
    dto::json(StatusCode::ACCEPTED, &VerificationAnswer { started_at })
}

async fn next_piece(
    backup: Backup,
    offset: u64,
) -> Option<(std::io::Result<Bytes>, (Backup, u64))> {
    let left = backup
        .length()
        .checked_sub(offset)
        .filter(|left| *left > 0)?;
    let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
    let piece = backup.read(offset, length).await.map(Bytes::from);
    // After a failure nothing more is asked for.
    Some((piece, (backup, offset + length as u64)))
}

async fn next_lines(export: Option<Export>) -> Option<(std::io::Result<Bytes>, Option<Export>)> {
    let mut export = export?;
    // The slices are read on the worker itself: others get their turn in between.
    tokio::task::yield_now().await;
    match export.next_lines().await {
        Ok(lines) => lines.map(|lines| (Ok(lines.into()), Some(export))),
        Err(error) => {
            let error = std::io::Error::other(format!("{error:?}"));
            Some((Err(error), None))
        }
    }
}

fn attachment(body: Body, kind: &'static str, name: HeaderValue) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
