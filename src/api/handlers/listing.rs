//! A list of sessions, written out slice by slice, so that its length costs no memory.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

use crate::api::dto::queries::SessionPage;
use crate::api::dto::{SessionInfo, StatsInfo};
use crate::app::error::AppError;
use crate::app::{ActiveSessionScan, App, Scope, SessionFilter};
use crate::domain::id::SessionId;
use crate::domain::session::Session;

/// A list that is being written.
pub(super) struct Listing {
    app: Arc<App>,
    filter: SessionFilter,
    scope: Scope,
    walk: ActiveSessionScan,
    /// How many sessions the page still takes; none for a list of all.
    left: Option<usize>,
    /// The last session written.
    last: Option<SessionId>,
    /// Whether there is one more session than the page takes.
    has_more: bool,
    written: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Sessions,
    Tail,
    Over,
}

impl Listing {
    pub(super) fn new(app: &Arc<App>, page: SessionPage, scope: Scope) -> Self {
        let SessionPage {
            filter,
            below,
            limit,
        } = page;
        Self {
            app: Arc::clone(app),
            filter,
            scope,
            walk: ActiveSessionScan::new(filter, below),
            left: limit,
            last: None,
            has_more: false,
            written: 0,
            phase: Phase::Head,
        }
    }

    /// The response. What fails in the first slice is an error of its own; what fails later
    /// cuts the body off.
    pub(super) async fn respond(mut self) -> Result<Response, AppError> {
        let first = self.next().await?.unwrap_or_default();
        let rest = stream::unfold(self, |mut listing| async move {
            match listing.next().await {
                Ok(part) => part.map(|part| (Ok(part), listing)),
                Err(error) => {
                    listing.phase = Phase::Over;
                    Some((Err(std::io::Error::other(format!("{error:?}"))), listing))
                }
            }
        });
        let body = stream::iter([Ok(first)]).chain(rest);
        let mut response = Response::new(Body::from_stream(body));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Ok(response)
    }

    /// The next part of the body.
    async fn next(&mut self) -> Result<Option<Bytes>, AppError> {
        // The slices are read on the worker itself: others get their turn in between.
        tokio::task::yield_now().await;
        let mut part = Vec::new();
        if self.phase == Phase::Head {
            part.extend_from_slice(b"{\"sessions\":[");
            self.phase = Phase::Sessions;
        }
        match self.phase {
            Phase::Sessions => self.write_slice(&mut part).await?,
            Phase::Tail => self.write_tail(&mut part).await?,
            Phase::Head | Phase::Over => return Ok(None),
        }
        Ok(Some(part.into()))
    }

    async fn write_slice(&mut self, part: &mut Vec<u8>) -> Result<(), AppError> {
        let Some(sessions) = self.walk.next(&self.app).await? else {
            self.phase = Phase::Tail;
            return Ok(());
        };
        for session in &sessions {
            if self.left == Some(0) {
                self.has_more = true;
                self.phase = Phase::Tail;
                return Ok(());
            }
            self.write_session(session, part);
        }
        Ok(())
    }

    fn write_session(&mut self, session: &Session, part: &mut Vec<u8>) {
        if self.written > 0 {
            part.push(b',');
        }
        let info = SessionInfo::new(session, self.app.now());
        // It has string keys and no failing `Serialize`.
        part.extend(serde_json::to_vec(&info).unwrap_or_default());
        self.written += 1;
        self.last = Some(session.id);
        self.left = self.left.map(|left| left - 1);
    }

    async fn write_tail(&mut self, part: &mut Vec<u8>) -> Result<(), AppError> {
        let stats = match self.scope {
            Scope::All => self.app.stats().await?,
            Scope::Of(user) => self.app.stats_of(user).await?,
        };
        let is_filtered = self.filter.agent.is_some() || self.filter.user.is_some();
        let total = match (is_filtered, self.left) {
            (false, _) => stats.active,
            (true, None) => self.written,
            (true, Some(_)) => self.count().await?,
        };
        part.extend_from_slice(b"],");
        if let (true, Some(last)) = (self.has_more, self.last) {
            part.extend(format!("\"nextCursor\":\"{last}\",").into_bytes());
        }
        let stats = json!(StatsInfo::from(stats));
        part.extend(format!("\"total\":{total},\"stats\":{stats}}}").into_bytes());
        self.phase = Phase::Over;
        Ok(())
    }

    /// How many sessions the filter matches, on this page or not.
    async fn count(&self) -> Result<u64, AppError> {
        let (mut walk, mut count) = (ActiveSessionScan::new(self.filter, None), 0);
        while let Some(sessions) = walk.next(&self.app).await? {
            count += sessions.len() as u64;
            tokio::task::yield_now().await;
        }
        Ok(count)
    }
}
