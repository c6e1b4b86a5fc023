//! Writes a list of sessions in slices, so that its length takes no memory.

use std::sync::Arc;

use async_stream::try_stream;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::Stream;
use serde_json::json;

use crate::api::dto::queries::SessionPage;
use crate::api::dto::{SessionInfo, StatsInfo};
use crate::api::response::streamed;
use crate::app::error::AppError;
use crate::app::{ActiveSessionScan, App, Scope, SessionFilter};

/// Returns the list as a response.
///
/// # Errors
/// Reading the first slice fails. A later failure aborts the body.
pub(super) async fn respond(
    app: Arc<App>,
    page: SessionPage,
    scope: Scope,
) -> Result<Response, AppError> {
    let body = streamed(slices(app, page, scope)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn slices(
    app: Arc<App>,
    page: SessionPage,
    scope: Scope,
) -> impl Stream<Item = Result<Vec<u8>, AppError>> {
    try_stream! {
        let mut scan = ActiveSessionScan::new(page.filter, page.below);
        let (mut count, mut last, mut has_more) = (0, None, false);
        let mut text = b"{\"sessions\":[".to_vec();
        'scan: while let Some(sessions) = scan.next(&app).await? {
            for session in &sessions {
                if page.limit == Some(count) {
                    has_more = true;
                    break 'scan;
                }
                if count > 0 {
                    text.push(b',');
                }
                let info = SessionInfo::new(session, app.now());
                // It has string keys and an infallible `Serialize`.
                text.extend(serde_json::to_vec(&info).unwrap_or_default());
                (count, last) = (count + 1, Some(session.id));
            }
            yield std::mem::take(&mut text);
            // Reads do not suspend; other tasks get their turn here.
            tokio::task::yield_now().await;
        }
        let stats = match scope {
            Scope::All => app.stats().await?,
            Scope::User(user) => app.user_stats(user).await?,
        };
        let is_filtered = page.filter.agent.is_some() || page.filter.user.is_some();
        let total = match (is_filtered, page.limit) {
            (false, _) => stats.active,
            (true, None) => count as u64,
            (true, Some(_)) => total(&app, page.filter).await?,
        };
        text.extend(b"],");
        if let (true, Some(last)) = (has_more, last) {
            text.extend(format!("\"nextCursor\":\"{last}\",").into_bytes());
        }
        let stats = json!(StatsInfo::from(stats));
        text.extend(format!("\"total\":{total},\"stats\":{stats}}}").into_bytes());
        yield text;
    }
}

/// Returns the number of sessions that the filter matches, on all pages.
async fn total(app: &App, filter: SessionFilter) -> Result<u64, AppError> {
    let (mut scan, mut total) = (ActiveSessionScan::new(filter, None), 0);
    while let Some(sessions) = scan.next(app).await? {
        total += sessions.len() as u64;
        tokio::task::yield_now().await;
    }
    Ok(total)
}
