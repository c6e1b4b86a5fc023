//! What an agent does before and between the words of its reply.

/// The longest text of an activity, in bytes.
pub const MAX_ACTIVITY_BYTES: usize = 4 * 1024;

/// Longer names are cut, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Something that an agent does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The kind.
    pub kind: ActivityKind,
    /// The name of the tool or the status.
    pub name: Option<String>,
    /// How far it is.
    pub state: Option<ActivityState>,
    /// The next piece of the agent's thinking; for other kinds, a description.
    pub text: Option<String>,
}

/// The kind of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityKind {
    /// The agent thinks. Texts of this kind are pieces of one text.
    Thinking,
    /// The agent uses a tool.
    Tool,
    /// Anything else.
    Status,
}

/// How far an activity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityState {
    /// It has begun.
    Started,
    /// It has succeeded.
    Done,
    /// It has failed.
    Failed,
}

impl Activity {
    /// Returns the next piece of the agent's thinking.
    #[must_use]
    pub fn thinking(text: String) -> Self {
        Self::new(ActivityKind::Thinking, Some(text))
    }

    /// Returns an activity without a name and a state.
    #[must_use]
    pub fn new(kind: ActivityKind, text: Option<String>) -> Self {
        Self {
            kind,
            name: None,
            state: None,
            text,
        }
    }

    /// Returns the activity with a name, which is cut if it is too long.
    #[must_use]
    pub fn with_name(mut self, mut name: String) -> Self {
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        self.name = Some(name);
        self
    }

    /// Returns the activity with a state.
    #[must_use]
    pub fn with_state(mut self, state: ActivityState) -> Self {
        self.state = Some(state);
        self
    }

    /// Returns whether it says nothing: a piece of thinking without a text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let has_text = self.text.as_ref().is_some_and(|text| !text.is_empty());
        let has_more = has_text || self.name.is_some() || self.state.is_some();
        self.kind == ActivityKind::Thinking && !has_more
    }

    /// Returns the length of its texts, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        length(&self.name) + length(&self.text)
    }
}

impl ActivityKind {
    /// Returns the kind with this name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "thinking" => Some(Self::Thinking),
            "tool" => Some(Self::Tool),
            "status" => Some(Self::Status),
            _ => None,
        }
    }
}

impl ActivityState {
    /// Returns the state with this name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "started" => Some(Self::Started),
            "done" => Some(Self::Done),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }
}
