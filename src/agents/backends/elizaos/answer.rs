//! The answer to a message that was sent by `http`.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::agents::backend::BackendError;
use crate::agents::backends::answer::{BackendAnswer, ReplyOrigin, error_in};
use crate::agents::client::redact::Redactor;
use crate::domain::failure::FailureReason;
use crate::domain::turn::Reply;

/// Separates the texts of a reply.
const BLANK_LINE: &str = "\n\n";

/// An answer; older versions put the response into `data`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpAnswer {
    #[serde(default)]
    agent_response: Option<Value>,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

impl HttpAnswer {
    /// Returns the reply, with what the agent's actions said.
    ///
    /// # Errors
    /// It reports an error; there is no response, as when a later message overtook this one; or it
    /// is not a reply.
    pub(super) fn into_reply(
        self,
        origin: ReplyOrigin,
        redactor: &Redactor,
    ) -> Result<Reply, BackendError> {
        let inner = self
            .data
            .and_then(|mut data| Some(data.get_mut("agentResponse")?.take()));
        let answer = match self.agent_response.or(inner) {
            None | Some(Value::Null) => {
                if let Some(error) = self.error.and_then(|error| error_in(&error, redactor)) {
                    return Err(error);
                }
                let cause = "it answered without a reply";
                return Err(BackendError::new(FailureReason::Busy, cause).with_retry(None));
            }
            Some(Value::String(text)) => BackendAnswer::from_text(text),
            Some(Value::Object(response)) => from_response(response)?,
            Some(_) => return Err(invalid()),
        };
        // An agent may have acted and said nothing, so this is not an error: it must not act again.
        Ok(answer.into_reply_or(String::new(), origin))
    }
}

fn from_response(mut response: Map<String, Value>) -> Result<BackendAnswer, BackendError> {
    let callbacks = callbacks(response.remove("actionCallbacks"));
    let all = || std::iter::once(&response).chain(&callbacks);
    let text = joined_texts(all());
    let attachments = all().filter_map(|content| content.get("attachments")?.as_array());
    let attachments: Vec<_> = attachments.flatten().cloned().collect();
    response.insert("text".into(), text.into());
    response.insert("attachments".into(), attachments.into());
    serde_json::from_value(Value::Object(response)).map_err(|_| invalid())
}

/// Returns the results of the actions. `ElizaOS` 1.7.2 sends that of the last one, as an object.
fn callbacks(value: Option<Value>) -> Vec<Map<String, Value>> {
    let values = match value {
        Some(Value::Array(values)) => values,
        value => value.into_iter().collect(),
    };
    let objects = values.into_iter().filter_map(|value| match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    objects.collect()
}

/// Joins the texts without duplicates.
fn joined_texts<'a>(contents: impl Iterator<Item = &'a Map<String, Value>>) -> String {
    let mut texts: Vec<&str> = Vec::new();
    for content in contents {
        let text = content.get("text").and_then(Value::as_str);
        if let Some(text) = text.filter(|text| !text.trim().is_empty() && !texts.contains(text)) {
            texts.push(text);
        }
    }
    texts.join(BLANK_LINE)
}

fn invalid() -> BackendError {
    BackendError::new(
        FailureReason::InvalidReply,
        "its agentResponse is not a reply",
    )
}
