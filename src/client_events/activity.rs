//! The payload of an activity, the same on all transports.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::activity::{Activity, ActivityKind, ActivityState};
use crate::domain::id::{AgentId, MessageId, SessionId};

/// What an agent does before and between the words of its reply. It is sent live, and never stored.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageActivity<'a> {
    /// The id that the reply will have.
    message_id: Uuid,
    agent_id: Uuid,
    channel_id: Uuid,
    #[schema(inline)]
    kind: Kind,
    /// The name of the tool or the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false)]
    state: Option<State>,
    /// Of `thinking` the next piece; of the others a text that replaces the last one of the same
    /// kind and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<&'a str>,
}

/// The kind of an activity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Thinking,
    Tool,
    Status,
}

/// How far an activity is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Started,
    Done,
    Failed,
}

impl<'a> MessageActivity<'a> {
    /// Returns the payload of an activity in a turn with this reply id.
    #[must_use]
    pub fn new(
        reply: MessageId,
        agent: AgentId,
        session: SessionId,
        activity: &'a Activity,
    ) -> Self {
        Self {
            message_id: reply.0,
            agent_id: agent.0,
            channel_id: session.0,
            kind: match activity.kind {
                ActivityKind::Thinking => Kind::Thinking,
                ActivityKind::Tool => Kind::Tool,
                ActivityKind::Status => Kind::Status,
            },
            name: activity.name.as_deref(),
            state: activity.state.map(|state| match state {
                ActivityState::Started => State::Started,
                ActivityState::Done => State::Done,
                ActivityState::Failed => State::Failed,
            }),
            text: activity.text.as_deref(),
        }
    }
}
