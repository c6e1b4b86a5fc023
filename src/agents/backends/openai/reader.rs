//! Puts a model's reply together from the objects of its answer.

use super::chunk::{Chunk, Form, Part};
use super::failure::Failure;
use super::thinking::{Split, Splitter};
use crate::agents::about::About;
use crate::agents::backend::BackendError;
use crate::agents::backends::answer::MAX_THOUGHT_BYTES;
use crate::agents::client::surrogates::Joiner;
use crate::domain::turn::Reply;

/// The longest name of a model or finish reason that is stored, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// Finish reasons that say that the text is only the beginning: of most servers; then of Mistral,
/// and of gateways to models that name theirs otherwise.
const CUT_OFF: [&str; 5] = [
    "length",
    "content_filter",
    "model_length",
    "max_tokens",
    "safety",
];

/// What is known of a reply so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Which choice is read.
    index: Option<u64>,
    /// The model as the answer names it, else as it was asked for.
    model: Option<String>,
    finish_reason: Option<String>,
    text: Joiner,
    reasoning: Joiner,
    splitter: Splitter,
    /// The text so far. What is blank at its beginning waits in `lead` for what follows.
    said: String,
    lead: String,
    thought: String,
    is_refusal: bool,
    calls_tool: bool,
}

impl Reader {
    /// Nothing yet of the reply of a model that was asked for by this name.
    pub(super) fn new(model: Option<&str>) -> Self {
        Self {
            model: model.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Reads an object of the answer; returns the text that it adds.
    ///
    /// # Errors
    /// It tells of a failure, or is not what it should be.
    pub(super) fn read(&mut self, object: &str, form: Form) -> Result<String, Failure> {
        let chunk = Chunk::parse(object, form, &mut self.index)?;
        self.model = chunk.model.map(name).or(self.model.take());
        let reason = chunk.finish_reason.map(name);
        self.finish_reason = reason.or(self.finish_reason.take());
        self.is_refusal |= chunk.is_refusal;
        self.calls_tool |= chunk.calls_tool;
        let mut added = String::new();
        for part in chunk.parts {
            match part {
                Part::Text(text) => {
                    let text = self.text.push(&text);
                    let parts = self.splitter.push(&text);
                    self.take(parts, &mut added);
                }
                Part::Thought(text) => {
                    let text = self.reasoning.push(&text);
                    self.think(&text);
                }
            }
        }
        Ok(added)
    }

    /// Whether the model has given a reason for its end.
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// What is known by now of how the reply is made.
    pub(super) fn about(&self) -> About {
        About {
            model: self.model.clone(),
            finish_reason: self.finish_reason.clone(),
            is_truncated: self.finish_reason.as_deref().is_some_and(cuts_off),
        }
    }

    /// Takes the end of the answer; returns the text that was held back.
    pub(super) fn end(&mut self) -> String {
        let mut added = String::new();
        let mut parts = Vec::new();
        if let Some(rest) = self.text.finish() {
            parts.extend(self.splitter.push(&rest));
        }
        parts.extend(self.splitter.finish());
        self.take(parts, &mut added);
        if let Some(rest) = self.reasoning.finish() {
            self.think(&rest);
        }
        if self.said.is_empty() && self.thought.is_empty() {
            self.said = std::mem::take(&mut self.lead);
            added.push_str(&self.said);
        }
        added
    }

    /// The reply, after the end.
    ///
    /// # Errors
    /// There is no text.
    pub(super) fn into_reply(self) -> Result<Reply, BackendError> {
        if self.said.is_empty() {
            return Err(self.no_text());
        }
        let about = self.about();
        let mut reply = Reply::text(self.said);
        let thought = self.thought.trim();
        reply.thought = (!thought.is_empty()).then(|| thought.to_owned());
        about.write_to(&mut reply);
        Ok(reply)
    }

    fn no_text(&self) -> BackendError {
        let reason = self.finish_reason.as_ref();
        let causes = [
            reason.map(|reason| format!("finish reason {reason:?}")),
            self.is_refusal.then(|| "it refused".into()),
            (!self.thought.is_empty()).then(|| "only reasoning".into()),
            self.calls_tool.then(|| "it called a tool".into()),
        ];
        let causes: Vec<_> = causes.into_iter().flatten().collect();
        let causes = if causes.is_empty() {
            "it gave no reason".into()
        } else {
            causes.join(", ")
        };
        BackendError::Final(format!("the model gave no text: {causes}"))
    }

    fn take(&mut self, parts: Vec<Split>, added: &mut String) {
        for part in parts {
            match part {
                Split::Text(text) => self.say(&text, added),
                Split::Thought(text) => self.think(&text),
                Split::WasThought => {
                    let thought = std::mem::take(&mut self.said);
                    self.think(&thought);
                    added.clear();
                }
            }
        }
    }

    /// Blanks at the beginning belong to the text, but not behind reasoning, from which they part
    /// it.
    fn say(&mut self, text: &str, added: &mut String) {
        let begins = self.said.is_empty();
        if begins && text.trim_start().is_empty() {
            self.lead.push_str(text);
            return;
        }
        let lead = std::mem::take(&mut self.lead);
        let text = match (begins, self.thought.is_empty()) {
            (true, true) => lead + text,
            (true, false) => text.trim_start().to_owned(),
            (false, _) => text.to_owned(),
        };
        self.said.push_str(&text);
        added.push_str(&text);
    }

    fn think(&mut self, text: &str) {
        let left = MAX_THOUGHT_BYTES - self.thought.len();
        self.thought
            .push_str(&text[..text.floor_char_boundary(left)]);
    }
}

fn cuts_off(reason: &str) -> bool {
    CUT_OFF.iter().any(|cut| reason.eq_ignore_ascii_case(cut))
}

fn name(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agents::client::redact::Redactor;

    #[test]
    fn an_answer_without_text_names_the_cause() {
        for (message, reason, said) in [
            (json!({}), json!(null), "it gave no reason"),
            (
                json!({ "content": "<think>Hm" }),
                json!("length"),
                "finish reason \"length\", only reasoning",
            ),
            (
                json!({ "refusal": "I cannot." }),
                json!("stop"),
                "finish reason \"stop\", it refused",
            ),
            (
                json!({ "content": null, "tool_calls": [{ "id": "x" }] }),
                json!("tool_calls"),
                "finish reason \"tool_calls\", it called a tool",
            ),
        ] {
            let mut reader = Reader::new(None);
            let object = json!({ "choices": [{ "message": message, "finish_reason": reason }] });
            reader.read(&object.to_string(), Form::Whole).unwrap();
            reader.end();
            let error = reader.into_reply().unwrap_err().to_string();
            assert_eq!(error, format!("the model gave no text: {said}"));
        }
    }

    #[test]
    fn a_failure_does_not_repeat_what_the_model_said() {
        for object in [
            json!({ "choices": [{ "delta": { "content": "secret" }, "error": { "code": 7 } }] }),
            json!({ "choices": [{ "delta": { "content": "secret" }, "finish_reason": "error" }] }),
            json!({ "choices": [{ "delta": { "content": "secret" } }], "error": true }),
            json!({ "object": "error", "text": "secret", "code": 500 }),
        ] {
            let failure = Reader::new(None).read(&object.to_string(), Form::Streamed);
            let error = failure.unwrap_err().into_error(&Redactor::default());
            let error = error.to_string();
            assert!(error.starts_with("it answered an error: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
