//! What a reply's metadata says of how it was made.

use serde_json::{Map, Value};

use crate::domain::turn::Reply;

/// Facts about a reply that the server sets: they win over what an agent sends under these names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The model as its server names it in the answer, else as it was asked for.
    pub model: Option<String>,
    /// Why the model ended, in its server's words.
    pub finish_reason: Option<String>,
    /// Whether the text is only the beginning of what would have been said.
    pub is_truncated: bool,
}

impl About {
    /// A reply of which only the beginning is there.
    pub(super) fn truncated() -> Self {
        Self {
            is_truncated: true,
            ..Self::default()
        }
    }

    /// Writes the facts that are known into a reply's metadata.
    pub(super) fn write_to(self, reply: &mut Reply) {
        let truncated = self.is_truncated.then_some(Value::Bool(true));
        let facts = [
            ("model", self.model.map(Value::String)),
            ("finishReason", self.finish_reason.map(Value::String)),
            ("truncated", truncated),
        ];
        let mut facts = facts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .peekable();
        if facts.peek().is_none() {
            return;
        }
        let metadata = &mut reply.body.metadata;
        let own = metadata.as_deref().map(serde_json::from_str);
        let mut all: Map<String, Value> = own.and_then(Result::ok).unwrap_or_default();
        all.extend(facts);
        *metadata = Some(Value::Object(all).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_knows_wins_over_what_the_agent_sends() {
        let mut reply = Reply::text("Hello.".into());
        reply.body.metadata = Some(r#"{"mood":"good","model":"mine"}"#.into());
        let about = About {
            model: Some("gemma3".into()),
            finish_reason: Some("length".into()),
            is_truncated: true,
        };
        about.write_to(&mut reply);
        assert_eq!(
            reply.body.metadata.as_deref(),
            Some(r#"{"mood":"good","model":"gemma3","finishReason":"length","truncated":true}"#)
        );
    }

    #[test]
    fn where_nothing_is_known_nothing_changes() {
        let mut reply = Reply::text("Hello.".into());
        About::default().write_to(&mut reply);
        assert_eq!(reply.body.metadata, None);
    }
}
