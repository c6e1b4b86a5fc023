//! The activities that an agent reports in its stream.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::agents::client::surrogates::Joiner;
use crate::domain::activity::{Activity, ActivityKind, ActivityState};
use crate::domain::id::{AgentId, SessionId};
use crate::json::{self, JsString, Members};

/// Of how many agents and faults the first occurrence is logged.
const MAX_LOGGED: usize = 1000;

/// The faults that were logged. A stream may repeat one thousands of times.
static LOGGED: Mutex<BTreeSet<(AgentId, Fault)>> = Mutex::new(BTreeSet::new());

/// Reads the activities of a stream.
#[derive(Debug, Default)]
pub(crate) struct ActivityReader {
    thinking: Joiner,
}

/// Why an activity is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    NotAnObject,
    Kind,
    Name,
    State,
    Text,
}

impl ActivityReader {
    /// Reads the data of an event: `{kind, name?, state?, text?}`. An invalid one is dropped: the
    /// reply does not depend on it.
    pub(crate) fn read(
        &mut self,
        data: &str,
        session: SessionId,
        agent: AgentId,
    ) -> Option<Activity> {
        match self.parse(data) {
            Ok(activity) => Some(activity),
            Err(fault) => {
                if is_first(agent, fault) {
                    let reason = fault.reason();
                    tracing::warn!(
                        %session, %agent, reason,
                        "an activity of an agent is dropped; this is logged once"
                    );
                }
                None
            }
        }
    }

    fn parse(&mut self, data: &str) -> Result<Activity, Fault> {
        let members = json::members(data).map_err(|_| Fault::NotAnObject)?;
        let kind: Option<JsString> = optional(&members, "kind", Fault::Kind)?;
        let kind = kind.and_then(|kind| ActivityKind::parse(&kind.to_text()));
        let kind = kind.ok_or(Fault::Kind)?;
        let name: Option<JsString> = optional(&members, "name", Fault::Name)?;
        let state: Option<JsString> = optional(&members, "state", Fault::State)?;
        let text: Option<JsString> = optional(&members, "text", Fault::Text)?;
        let text = match kind {
            ActivityKind::Thinking => text.map(|text| self.thinking.push(&text)),
            _ => text.map(|text| text.to_text()),
        };
        let mut activity = Activity::new(kind, text);
        if let Some(name) = name {
            activity = activity.with_name(name.to_text());
        }
        if let Some(state) = state {
            let state = ActivityState::parse(&state.to_text()).ok_or(Fault::State)?;
            activity = activity.with_state(state);
        }
        Ok(activity)
    }
}

impl Fault {
    fn reason(self) -> &'static str {
        match self {
            Self::NotAnObject => "its data must be a JSON object",
            Self::Kind => "kind must be thinking, tool or status",
            Self::Name => "name must be a string",
            Self::State => "state must be started, done or failed",
            Self::Text => "text must be a string",
        }
    }
}

/// Returns a member that is not null.
fn optional<'a, T: Deserialize<'a>>(
    members: &Members<'a>,
    name: &str,
    fault: Fault,
) -> Result<Option<T>, Fault> {
    let member = members.get(name).map(RawValue::get);
    let parsed = member.map(serde_json::from_str::<Option<T>>);
    Ok(parsed.transpose().map_err(|_| fault)?.flatten())
}

fn is_first(agent: AgentId, fault: Fault) -> bool {
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    logged.len() < MAX_LOGGED && logged.insert((agent, fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activities_are_read_and_invalid_ones_have_a_reason() {
        let read = |data| ActivityReader::default().parse(data);
        let tool = |text: Option<&str>| Activity::new(ActivityKind::Tool, text.map(str::to_owned));
        for (data, wanted) in [
            (r#"{"kind": "tool"}"#, tool(None)),
            (
                r#"{"kind": "tool", "name": null, "text": "\ud83c", "other": 1}"#,
                tool(Some("\u{fffd}")),
            ),
            (
                r#"{"kind": "tool", "name": "web", "state": "failed"}"#,
                tool(None)
                    .with_name("web".into())
                    .with_state(ActivityState::Failed),
            ),
            (
                r#"{"kind": "thinking", "text": "Hm"}"#,
                Activity::thinking("Hm".into()),
            ),
        ] {
            assert_eq!(read(data), Ok(wanted), "{data}");
        }
        for (data, fault) in [
            ("[]", Fault::NotAnObject),
            ("thinking", Fault::NotAnObject),
            ("{}", Fault::Kind),
            (r#"{"kind": "Thinking"}"#, Fault::Kind),
            (r#"{"kind": 7}"#, Fault::Kind),
            (r#"{"kind": "tool", "name": 7}"#, Fault::Name),
            (r#"{"kind": "tool", "state": "half"}"#, Fault::State),
            (r#"{"kind": "tool", "state": true}"#, Fault::State),
            (r#"{"kind": "tool", "text": ["x"]}"#, Fault::Text),
        ] {
            assert_eq!(read(data), Err(fault), "{data}");
        }
    }

    #[test]
    fn pieces_of_thinking_may_split_a_character() {
        let mut reader = ActivityReader::default();
        let mut text = |data| reader.parse(data).unwrap().text.unwrap();
        assert_eq!(text(r#"{"kind": "thinking", "text": "a\ud83c"}"#), "a");
        assert_eq!(text(r#"{"kind": "thinking", "text": "\udf89b"}"#), "🎉b");
    }

    #[test]
    fn a_fault_of_an_agent_is_logged_once() {
        let [one, two] = [1, 2].map(AgentId::from);
        assert!(is_first(one, Fault::Kind) && !is_first(one, Fault::Kind));
        assert!(is_first(one, Fault::State) && is_first(two, Fault::Kind));
    }
}
