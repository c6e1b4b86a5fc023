//! What happens in a session, as a stream of server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;

use crate::api::dto::queries::{EventsQuery, LastEventId};
use crate::api::dto::schemas::SessionStreamEvent;
use crate::api::error::ApiError;
use crate::api::extract::{Query, SessionPath};
use crate::api::openapi::responses::{QueryErrors, SessionErrors, StorageErrors};
use crate::api::sse;
use crate::api::state::ApiState;
use crate::app::error::AppError;
use crate::app::{App, SessionSubscription};
use crate::client_events::{self, WireEvent};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::metrics::Open;

/// `GET /api/messaging/sessions/{id}/events`
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/{sessionId}/events",
    operation_id = "getSessionEvents",
    tag = "messages",
    summary = "Follow what happens in a session",
    description = "The events of the sockets, under the same names, until the session has ended. With `Last-Event-ID`, `lastEventId` or `after` (the first of them that is not blank counts), every stored message after it comes first; then one `state`; then what happens.",
    params(SessionPath, LastEventId, EventsQuery),
    responses(
        (status = 200, description = "The events", content_type = "text/event-stream", body = SessionStreamEvent),
        QueryErrors,
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn follow(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    last_event_id: LastEventId,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    let after = query.validate(&last_event_id)?;
    let mut follower = SessionSubscription::new(&state.app);
    let session = follower.join(&session).await?;
    let open = Open::new(&state.app.metrics().event_streams);
    let feed = Feed {
        app: state.app,
        follower,
        session,
        told_until: after.unwrap_or(Timestamp::MIN),
        phase: if after.is_some() {
            Phase::Replay
        } else {
            Phase::State
        },
        waiting: VecDeque::new(),
        _open: open,
    };
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(sse::response(events))
}

/// A session's events for one client.
struct Feed {
    app: Arc<App>,
    follower: SessionSubscription,
    session: Session,
    /// The time of the newest message that the client was told, or knows.
    told_until: Timestamp,
    phase: Phase,
    waiting: VecDeque<Event>,
    _open: Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What was stored while the client was away.
    Replay,
    /// How things stand.
    State,
    /// What happens from now on.
    Live,
    /// Nothing more.
    Over,
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let stopping = self.app.stopping().clone();
            let read = match self.phase {
                Phase::Replay => self.replay().await,
                Phase::State => self.state().await,
                Phase::Live => {
                    stopping.run_until_cancelled(self.live()).await??;
                    continue;
                }
                Phase::Over => return None,
            };
            match read {
                Ok(()) => {}
                // It has ended since the client joined: how, is the next thing that it hears.
                Err(AppError::Refused(_)) => self.phase = Phase::Live,
                // What cannot be read now is asked for again by a client that resumes.
                Err(_) => return None,
            }
        }
    }

    async fn replay(&mut self) -> Result<(), AppError> {
        let messages = self
            .follower
            .stored_after(self.session.id, self.told_until)
            .await?;
        for message in &messages {
            self.tell(&client_events::message_broadcast(
                &self.app,
                &self.session,
                message,
            ));
        }
        if messages.is_empty() {
            self.phase = Phase::State;
        }
        Ok(())
    }

    async fn state(&mut self) -> Result<(), AppError> {
        let state = self.follower.state(self.session.id).await?;
        // A message that was stored since the replay comes live: the state is of the moment, its
        // id of what the client has been told.
        let newest = state.newest.unwrap_or(Timestamp(0));
        if self.told_until != Timestamp::MIN && newest > self.told_until {
            self.phase = Phase::Replay;
            return Ok(());
        }
        // Also where the client resumes after a time that is yet to come: what is stored from now
        // on is live.
        self.told_until = newest;
        let event = client_events::state(&state, self.app.now());
        let event = sse::event(event.name, &event.payload).id(newest.0.to_string());
        self.waiting.push_back(event);
        self.phase = Phase::Live;
        Ok(())
    }

    /// None where the client has to resume.
    async fn live(&mut self) -> Option<()> {
        let followed = self.follower.next().await.ok()?;
        let event = client_events::event(&self.app, self.follower.id(), &followed.happening);
        // The replay and the state have told of these already.
        if event.message_at.is_none_or(|at| at > self.told_until) {
            self.tell(&event);
        }
        if followed.is_last {
            self.phase = Phase::Over;
        }
        Some(())
    }

    fn tell(&mut self, event: &WireEvent) {
        let mut sent = sse::event(event.name, &event.payload);
        if let Some(at) = event.message_at {
            sent = sent.id(at.0.to_string());
            self.told_until = at;
        }
        self.waiting.push_back(sent);
    }
}
