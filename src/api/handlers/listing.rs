//! Writes a list of sessions in slices, so that its length takes no memory.

use std::sync::Arc;

use async_stream::try_stream;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::Stream;
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::api::dto::queries::SessionPage;
use crate::api::dto::{SessionInfo, StatsInfo, session_cursor};
use crate::api::response::{self, streamed};
use crate::app::error::AppError;
use crate::app::{App, Scope, SessionScan, SessionText, Stats};
use crate::domain::session::Session;

/// A page of found sessions.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundList {
    sessions: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    stats: StatsInfo,
}

/// Returns the list as a response.
///
/// # Errors
/// Reading the first slice fails. A later failure aborts the body.
pub(super) async fn respond(
    app: Arc<App>,
    mut page: SessionPage,
    scope: Scope,
) -> Result<Response, AppError> {
    if let (Some(text), Some(limit)) = (page.text.take(), page.limit) {
        return found(&app, text, page, limit, scope).await;
    }
    let body = streamed(slices(app, page, scope)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Returns the sessions that a text finds.
async fn found(
    app: &Arc<App>,
    text: SessionText,
    page: SessionPage,
    limit: usize,
    scope: Scope,
) -> Result<Response, AppError> {
    let filter = (page.filter, page.status);
    let finding = app.find_sessions(text.clone(), filter, page.below, limit);
    let found = finding.await?;
    let stats = stats(app, scope).await?;
    let list = FoundList {
        sessions: rows(app, found.sessions, page.with_last_message).await?,
        next_cursor: found
            .next
            .map(|it| session_cursor(it, &(&text, page.filter, page.status))),
        stats: StatsInfo::from(stats),
    };
    Ok(response::json(StatusCode::OK, &list))
}

fn slices(
    app: Arc<App>,
    page: SessionPage,
    scope: Scope,
) -> impl Stream<Item = Result<Vec<u8>, AppError>> {
    try_stream! {
        let mut scan = SessionScan::new(page.filter, page.status, page.below);
        let (mut count, mut last, mut has_more) = (0, None, false);
        let mut text = b"{\"sessions\":[".to_vec();
        while let Some(mut sessions) = scan.next(&app).await? {
            let missing = page.limit.map_or(usize::MAX, |limit| limit - count);
            has_more = sessions.len() > missing;
            sessions.truncate(missing);
            last = sessions.last().map(|session| session.id).or(last);
            for row in rows(&app, sessions, page.with_last_message).await? {
                if count > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(row.get().as_bytes());
                count += 1;
            }
            if has_more {
                break;
            }
            yield std::mem::take(&mut text);
            // Reads do not suspend; other tasks get their turn here.
            tokio::task::yield_now().await;
        }
        let stats = stats(&app, scope).await?;
        let total = match page.limit {
            // All sessions that match were counted.
            None if page.filter.agent.is_some() || page.filter.user.is_some() => count as u64,
            _ => total(&app, &page, stats, scope).await?,
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

/// Returns sessions as JSON, with their newest messages if wanted. Those that were deleted
/// meanwhile are then left out.
async fn rows(
    app: &App,
    sessions: Vec<Session>,
    with_last_message: bool,
) -> Result<Vec<Box<RawValue>>, AppError> {
    // Results are flattened: the rows have string keys and an infallible `Serialize`.
    if !with_last_message {
        let rows = sessions.iter().map(|it| to_raw_value(&info(app, it)));
        return Ok(rows.flatten().collect());
    }
    let previews = app.session_previews(&sessions).await?;
    let rows = previews
        .into_iter()
        .map(|it| to_raw_value(&info(app, &it.session).with_last_message(it.last_message)));
    Ok(rows.flatten().collect())
}

fn info<'a>(app: &App, session: &'a Session) -> SessionInfo<'a> {
    SessionInfo::new(session, app.now(), app.retention())
}

async fn stats(app: &App, scope: Scope) -> Result<Stats, AppError> {
    match scope {
        Scope::All => app.stats().await,
        Scope::User(user) => app.user_stats(user).await,
    }
}

/// Returns the number of sessions that the filter matches, on all pages. Without a filter, and for
/// the sessions of a user, it is a known number.
async fn total(
    app: &App,
    page: &SessionPage,
    counts: Stats,
    scope: Scope,
) -> Result<u64, AppError> {
    let (filter, status) = (page.filter, page.status);
    match (filter.agent, filter.user, scope) {
        (None, None, _) | (None, Some(_), Scope::User(_)) => return Ok(status.count(counts)),
        (None, Some(user), Scope::All) => return Ok(status.count(app.user_stats(user).await?)),
        _ => {}
    }
    let (mut scan, mut total) = (SessionScan::new(filter, status, None), 0);
    while let Some(sessions) = scan.next(app).await? {
        total += sessions.len() as u64;
        tokio::task::yield_now().await;
    }
    Ok(total)
}
