//! The events of a session, as a stream of server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use async_stream::stream;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream::Stream;

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
use crate::metrics::OpenGauge;

/// Stream the events of a session
///
/// The events of the sockets, under the same names, until the session has ended. With
/// `Last-Event-ID`, `lastEventId` or `after` (the first one that is not blank is used), every
/// stored message after it comes first; then one `state`; then the live events.
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/{sessionId}/events",
    operation_id = "getSessionEvents",
    tag = "messages",
    params(SessionPath, LastEventId, EventsQuery),
    responses(
        (
            status = 200, description = "The events",
            content_type = "text/event-stream", body = SessionStreamEvent,
        ),
        QueryErrors,
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn stream(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    last_event_id: LastEventId,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    let after = query.validate(&last_event_id)?;
    let mut subscription = SessionSubscription::new(&state.app);
    let session = subscription.join(&session).await?;
    let events = events(state.app, subscription, session, after);
    Ok(sse::response(events))
}

fn events(
    app: Arc<App>,
    mut subscription: SessionSubscription,
    session: Session,
    after: Option<Timestamp>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let open = OpenGauge::new(&app.metrics().event_streams);
    stream! {
        let _open = open;
        // The time of the newest message that the client has received.
        let mut sent_until = after.unwrap_or(Timestamp::MIN);
        let mut is_replaying = after.is_some();
        let caught_up = loop {
            if is_replaying {
                let messages = match subscription.stored_after(session.id, sent_until).await {
                    Ok(messages) => messages,
                    Err(error) => break Err(error),
                };
                is_replaying = !messages.is_empty();
                for message in &messages {
                    sent_until = message.created_at;
                    let event = client_events::message_broadcast(&app, &session, message);
                    yield Ok(sse_event(&event));
                }
                continue;
            }
            let state = match subscription.state(session.id).await {
                Ok(state) => state,
                Err(error) => break Err(error),
            };
            // The state must not be ahead of the messages that were sent.
            is_replaying = after.is_some() && state.newest.is_some_and(|at| at > sent_until);
            if is_replaying {
                continue;
            }
            // Also if the client resumes after a time in the future: later messages are live.
            sent_until = state.newest.unwrap_or(Timestamp(0));
            let event = client_events::state(&state, app.now());
            let event = sse::event(event.name, &event.payload);
            yield Ok(event.id(sent_until.0.to_string()));
            break Ok(());
        };
        match caught_up {
            // The session has ended since the client joined: that event is next.
            Ok(()) | Err(AppError::Refused(_)) => {}
            // A client that resumes will read it again.
            Err(_) => return,
        }
        while let Some(Ok(next)) = app.stopping().run_until_cancelled(subscription.next()).await {
            let event = client_events::event(&app, subscription.id(), &next.event);
            // Messages up to `sent_until` were sent before.
            if event.message_at.is_none_or(|at| at > sent_until) {
                sent_until = event.message_at.unwrap_or(sent_until);
                yield Ok(sse_event(&event));
            }
            if next.is_last {
                return;
            }
        }
    }
}

fn sse_event(event: &WireEvent) -> Event {
    let sse_event = sse::event(event.name, &event.payload);
    match event.message_at {
        Some(at) => sse_event.id(at.0.to_string()),
        None => sse_event,
    }
}
