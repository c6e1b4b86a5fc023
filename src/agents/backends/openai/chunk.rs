//! One object of a model's answer: an event of a stream, or the whole answer.
//!
//! Servers agree on little more than the names `choices`, `delta`, `message` and `content`, so each
//! field is parsed separately: one that is unused or invalid fails nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::usage::TokenCounts;
use crate::agents::client::body::BodyKind;
use crate::agents::client::http_client::invalid_json;
use crate::json::{self, JsString, Members};

/// Finish reasons of interrupted replies. `insufficient_system_resource` is `DeepSeek`'s, `abort`
/// that of `vLLM` and `SGLang`.
const INTERRUPTED: [&str; 3] = ["error", "abort", "insufficient_system_resource"];

/// Where servers put a model's reasoning: llama.cpp, vLLM and `DeepSeek` into the first, Ollama and
/// `OpenRouter` into the second; the third is the name in Ollama's own API. Some send two of them, with
/// the same text.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

/// Fields that report a failure in an object without `choices`.
const FAILURE_FIELDS: [&str; 3] = ["detail", "message", "error_code"];

/// Fields with the cause of a failure.
const CAUSES: [&str; 6] = ["error", "message", "detail", "error_code", "code", "type"];

/// The contents of an object.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The model's name.
    pub(super) model: Option<String>,
    pub(super) parts: Vec<Part>,
    pub(super) finish_reason: Option<String>,
    pub(super) tokens: TokenCounts,
    /// Whether the model refuses to answer.
    pub(super) is_refusal: bool,
    pub(super) calls_tool: bool,
}

#[derive(Debug)]
pub(super) enum Part {
    /// Text for the user.
    Text(JsString),
    /// Reasoning.
    Thought(JsString),
}

impl Chunk {
    /// Parses an object. Of several choices only that of `index` is read, which is set by the first
    /// one.
    ///
    /// # Errors
    /// The text reports a failure, is not an object, or its `choices` are not an array.
    pub(super) fn parse(
        text: &str,
        kind: BodyKind,
        index: &mut Option<u64>,
    ) -> Result<Self, Failure> {
        let object = json::members(text).or_else(|error| {
            // Gemini wraps its errors into an array.
            let items = serde_json::from_str::<Vec<Members<'_>>>(text);
            let first = items.ok().and_then(|items| items.into_iter().next());
            first.ok_or_else(|| Failure::from(invalid_json("its answer", &error)))
        })?;
        if reports_failure(&object) {
            return Err(failure(&object, &CAUSES));
        }
        let mut chunk = Self {
            model: text_in(&object, "model"),
            tokens: TokenCounts::read(&object, None),
            ..Self::default()
        };
        let Some(choices) = present(&object, "choices") else {
            return Ok(chunk);
        };
        let choices = serde_json::from_str::<Vec<&RawValue>>(choices.get())
            .map_err(|error| invalid_json("its answer", &error))?;
        let choices = choices.into_iter().filter_map(read::<Members<'_>>);
        let choices = choices.map(|choice| {
            let index: u64 = choice.get("index").and_then(read).unwrap_or_default();
            (index, choice)
        });
        let first = choices
            .filter(|(found, _)| index.is_none_or(|index| index == *found))
            .min_by_key(|(found, _)| *found);
        if let Some((found, choice)) = first {
            *index = Some(found);
            chunk.tokens = TokenCounts::read(&object, Some(&choice));
            chunk.read_choice(&choice, kind)?;
        }
        Ok(chunk)
    }

    fn read_choice(&mut self, choice: &Members<'_>, kind: BodyKind) -> Result<(), Failure> {
        // Some servers send the string "null".
        self.finish_reason = text_in(choice, "finish_reason").filter(|reason| reason != "null");
        let reason = self.finish_reason.as_deref().unwrap_or_default();
        if has_content(choice.get("error")) || INTERRUPTED.contains(&reason) {
            return Err(failure(choice, &["error", "finish_reason"]));
        }
        let names = match kind {
            BodyKind::Events => ["delta", "message"],
            BodyKind::Json => ["message", "delta"],
        };
        let mut messages = names.iter().filter_map(|name| choice.get(name));
        if let Some(message) = messages.find_map(read::<Members<'_>>) {
            self.read_message(&message);
        }
        Ok(())
    }

    fn read_message(&mut self, message: &Members<'_>) {
        let mut reasoning = REASONING
            .iter()
            .filter_map(|name| string(message.get(name)));
        self.parts.extend(reasoning.next().map(Part::Thought));
        if let Some(content) = message.get("content") {
            self.read_content(content);
        }
        self.is_refusal |= has_content(message.get("refusal"));
        self.calls_tool |= ["tool_calls", "function_call"]
            .iter()
            .any(|name| has_content(message.get(name)));
    }

    /// Reads a string, or an array of typed parts.
    fn read_content(&mut self, content: &RawValue) {
        if let Some(text) = string(Some(content)) {
            self.parts.push(Part::Text(text));
            return;
        }
        for part in read::<Vec<&RawValue>>(content).unwrap_or_default() {
            if let Some(text) = string(Some(part)) {
                self.parts.push(Part::Text(text));
            } else if let Some(part) = read::<Members<'_>>(part) {
                self.read_part(&part);
            }
        }
    }

    fn read_part(&mut self, part: &Members<'_>) {
        match text_in(part, "type").as_deref() {
            None | Some("text" | "output_text") => {
                let text = string(part.get("text"));
                self.parts.extend(text.map(Part::Text));
            }
            Some(kind @ ("thinking" | "reasoning")) => {
                if let Some(content) = part.get(kind).or_else(|| part.get("text")) {
                    self.read_thoughts(content);
                }
            }
            Some("refusal") => self.is_refusal = true,
            Some("tool_call" | "tool_use") => self.calls_tool = true,
            // Images, audio, references and unknown types.
            Some(_) => {}
        }
    }

    /// Reads a string, or an array of text parts, as reasoning.
    fn read_thoughts(&mut self, content: &RawValue) {
        let mut inner = Self::default();
        inner.read_content(content);
        let thoughts = inner.parts.into_iter().map(|part| match part {
            Part::Text(text) | Part::Thought(text) => Part::Thought(text),
        });
        self.parts.extend(thoughts);
    }
}

fn reports_failure(object: &Members<'_>) -> bool {
    let is_error = text_in(object, "object").is_some_and(|kind| kind == "error");
    let mut failure_fields = FAILURE_FIELDS.iter().map(|name| object.get(name));
    is_error
        || has_content(object.get("error"))
        || present(object, "choices").is_none() && failure_fields.any(has_content)
}

/// Returns a failure with these members only: others may contain what the model said.
fn failure(object: &Members<'_>, names: &[&str]) -> Failure {
    let members = names.iter().filter_map(|name| {
        let value = object.get(name)?;
        Some(format!("\"{name}\":{value}"))
    });
    let members: Vec<_> = members.collect();
    Failure::Reported(format!("{{{}}}", members.join(",")))
}

/// Returns whether an optional field has a value. Some servers send `""`, `false` or an object of
/// empty values instead of null.
fn has_content(field: Option<&RawValue>) -> bool {
    let Some(field) = field else {
        return false;
    };
    if let Some(members) = read::<Members<'_>>(field) {
        return members.iter().any(|(_, member)| !is_empty(member));
    }
    !is_empty(field)
}

fn is_empty(value: &RawValue) -> bool {
    let text = value.get();
    let is_array_or_object = text.starts_with(['[', '{']);
    match text {
        "null" | "false" | "0" => true,
        _ if is_array_or_object => text[1..text.len() - 1].trim().is_empty(),
        _ => read::<JsString>(value).is_some_and(|text| text.to_text().trim().is_empty()),
    }
}

/// Returns a member that is not null.
fn present<'a>(object: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    object.get(name).filter(|value| value.get() != "null")
}

/// Returns a string that is not empty.
fn string(value: Option<&RawValue>) -> Option<JsString> {
    value
        .and_then(read)
        .filter(|text| *text != JsString::default())
}

/// Returns a string that is not blank.
fn text_in(object: &Members<'_>, name: &str) -> Option<String> {
    let text = string(object.get(name))?.to_text();
    (!text.trim().is_empty()).then_some(text)
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}
