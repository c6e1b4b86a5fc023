//! The answer to a message that was sent by `http`.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::agents::backend::BackendError;
use crate::agents::backends::answer::{Answer, Origin};
use crate::domain::turn::Reply;

/// Stands between the texts of a reply.
const BLANK_LINE: &str = "\n\n";

/// An answer, in either of the forms that its versions have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    #[serde(default)]
    agent_response: Option<Value>,
    #[serde(default)]
    data: Option<Value>,
}

impl Sent {
    /// The reply. What the agent's actions said is part of it.
    ///
    /// # Errors
    /// There is none, which is how that server answers a message that was overtaken by a later one;
    /// or it is no reply.
    pub(super) fn into_reply(self, origin: Origin) -> Result<Reply, BackendError> {
        let inner = self
            .data
            .and_then(|mut data| Some(data.get_mut("agentResponse")?.take()));
        let answer = match self.agent_response.or(inner) {
            None | Some(Value::Null) => return Err(no_reply()),
            Some(Value::String(text)) => Answer::of_text(text),
            Some(Value::Object(response)) => answer_of(response)?,
            Some(_) => return Err(unreadable()),
        };
        // An agent may have acted and said nothing, which is no reason to have it act again.
        Ok(answer.into_reply_or(String::new(), origin))
    }
}

fn answer_of(mut response: Map<String, Value>) -> Result<Answer, BackendError> {
    let callbacks = callbacks(response.remove("actionCallbacks"));
    let all = || std::iter::once(&response).chain(&callbacks);
    let text = text_of(all());
    let attachments: Vec<_> = all().flat_map(attachments_of).cloned().collect();
    response.insert("text".into(), text.into());
    response.insert("attachments".into(), attachments.into());
    serde_json::from_value(Value::Object(response)).map_err(|_| unreadable())
}

/// What the actions gave: `ElizaOS` 1.7.2 tells what the last one gave, as an object.
fn callbacks(value: Option<Value>) -> Vec<Map<String, Value>> {
    let values = match value {
        Some(Value::Array(values)) => values,
        Some(value) => vec![value],
        None => Vec::new(),
    };
    let objects = values.into_iter().filter_map(|value| match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    objects.collect()
}

/// The texts, one after the other; none of them twice.
fn text_of<'a>(contents: impl Iterator<Item = &'a Map<String, Value>>) -> String {
    let mut texts: Vec<&str> = Vec::new();
    for content in contents {
        let text = content.get("text").and_then(Value::as_str);
        if let Some(text) = text.filter(|text| !text.trim().is_empty() && !texts.contains(text)) {
            texts.push(text);
        }
    }
    texts.join(BLANK_LINE)
}

fn attachments_of(content: &Map<String, Value>) -> &[Value] {
    let attachments = content.get("attachments").and_then(Value::as_array);
    attachments.map(Vec::as_slice).unwrap_or_default()
}

fn no_reply() -> BackendError {
    BackendError::Transient {
        detail: "it answered without a reply".into(),
        retry_after: None,
    }
}

fn unreadable() -> BackendError {
    BackendError::Final("its agentResponse is no reply".into())
}
