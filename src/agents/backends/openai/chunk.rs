//! One object of a model's answer: an event of a stream, or the whole answer.
//!
//! Servers agree on little more than the names `choices`, `delta`, `message` and `content`, so each
//! field is looked at by itself: one that is not needed, or not understood, fails nothing.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use crate::agents::client::http_client::not_understood;
use crate::json::{self, JsString, Members};

/// Finish reasons that say that the reply broke off. `insufficient_system_resource` is `DeepSeek`'s,
/// `abort` that of `vLLM` and `SGLang`.
const BROKEN_OFF: [&str; 3] = ["error", "abort", "insufficient_system_resource"];

/// Where servers put a model's reasoning: llama.cpp, vLLM and `DeepSeek` in the first, Ollama and
/// `OpenRouter` in the second. Some send both, with the same text.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

/// Fields that tell of a failure where there are no `choices`.
const TELLING: [&str; 3] = ["detail", "message", "error_code"];

/// Fields that say what failed.
const CAUSES: [&str; 6] = ["error", "message", "detail", "error_code", "code", "type"];

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In pieces, each in its `delta`.
    Streamed,
    /// Whole, in its `message`.
    Whole,
}

/// What an object says.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The model's name.
    pub(super) model: Option<String>,
    /// What is said and thought, in order.
    pub(super) parts: Vec<Part>,
    /// Why the model ended, if it did.
    pub(super) finish_reason: Option<String>,
    /// Whether the model refuses to answer.
    pub(super) is_refusal: bool,
    /// Whether the model calls a tool.
    pub(super) calls_tool: bool,
}

/// A piece of text.
#[derive(Debug)]
pub(super) enum Part {
    /// For the user.
    Text(JsString),
    /// The model's reasoning.
    Thought(JsString),
}

impl Chunk {
    /// Reads an object. Of several choices only one is read, that of `index`, which is noted when
    /// the first one comes.
    ///
    /// # Errors
    /// It tells of a failure, is not an object, or its `choices` are not a list.
    pub(super) fn parse(text: &str, form: Form, index: &mut Option<u64>) -> Result<Self, Failure> {
        let object = json::members(text).or_else(|error| {
            // Gemini's errors are the items of a list.
            let items = serde_json::from_str::<Vec<Members<'_>>>(text);
            let first = items.ok().and_then(|items| items.into_iter().next());
            first.ok_or_else(|| Failure::from(not_understood("its answer", &error)))
        })?;
        if tells_of_failure(&object) {
            return Err(told(&object, &CAUSES));
        }
        let mut chunk = Self {
            model: text_in(&object, "model"),
            ..Self::default()
        };
        let Some(choices) = present(&object, "choices") else {
            return Ok(chunk);
        };
        let choices = serde_json::from_str::<Vec<&RawValue>>(choices.get())
            .map_err(|error| not_understood("its answer", &error))?;
        let choices = choices.into_iter().filter_map(read::<Members<'_>>);
        let index_of =
            |choice: &Members<'_>| choice.get("index").and_then(read).unwrap_or_default();
        let choices = choices.map(|choice| (index_of(&choice), choice));
        let first = choices
            .filter(|(found, _)| index.is_none_or(|index| index == *found))
            .min_by_key(|(found, _)| *found);
        if let Some((found, choice)) = first {
            *index = Some(found);
            chunk.read_choice(&choice, form)?;
        }
        Ok(chunk)
    }

    fn read_choice(&mut self, choice: &Members<'_>, form: Form) -> Result<(), Failure> {
        // Some servers write the word for none.
        self.finish_reason = text_in(choice, "finish_reason").filter(|reason| reason != "null");
        let reason = self.finish_reason.as_deref().unwrap_or_default();
        if says_something(choice.get("error")) || BROKEN_OFF.contains(&reason) {
            return Err(told(choice, &["error", "finish_reason"]));
        }
        let names = match form {
            Form::Streamed => ["delta", "message"],
            Form::Whole => ["message", "delta"],
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
        self.is_refusal |= says_something(message.get("refusal"));
        self.calls_tool |= ["tool_calls", "function_call"]
            .iter()
            .any(|name| says_something(message.get(name)));
    }

    /// A text, or a list of typed parts.
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
        let kind = text_in(part, "type");
        match kind.as_deref() {
            None | Some("text" | "output_text") => {
                let text = string(part.get("text"));
                self.parts.extend(text.map(Part::Text));
            }
            Some(kind @ ("thinking" | "reasoning")) => {
                let thoughts = part.get(kind).or_else(|| part.get("text"));
                self.parts
                    .extend(thoughts.map(thoughts_in).unwrap_or_default());
            }
            Some("refusal") => self.is_refusal = true,
            Some("tool_call" | "tool_use") => self.calls_tool = true,
            // Images, sound, references and what is still to be invented.
            Some(_) => {}
        }
    }
}

/// A text, or a list of text parts, that was thought.
fn thoughts_in(content: &RawValue) -> Vec<Part> {
    let mut inner = Chunk::default();
    inner.read_content(content);
    let thoughts = inner.parts.into_iter().map(|part| match part {
        Part::Text(text) | Part::Thought(text) => Part::Thought(text),
    });
    thoughts.collect()
}

fn tells_of_failure(object: &Members<'_>) -> bool {
    let is_error = text_in(object, "object").is_some_and(|kind| kind == "error");
    let has_choices = present(object, "choices").is_some();
    is_error
        || says_something(object.get("error"))
        || !has_choices && TELLING.iter().any(|name| says_something(object.get(name)))
}

/// A failure in the words of these members. The others may hold what the model said.
fn told(object: &Members<'_>, names: &[&str]) -> Failure {
    let members = names.iter().filter_map(|name| {
        let value = object.get(name)?;
        Some(format!("\"{name}\":{value}"))
    });
    let members: Vec<_> = members.collect();
    Failure::Told(format!("{{{}}}", members.join(",")))
}

/// Whether a field that has a value only sometimes has one now. Some servers send `""`, `false`, or
/// an object that has nothing in it, for none.
fn says_something(field: Option<&RawValue>) -> bool {
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
    let is_list_or_object = text.starts_with(['[', '{']);
    match text {
        "null" | "false" | "0" => true,
        _ if is_list_or_object => text[1..text.len() - 1].trim().is_empty(),
        _ => read::<JsString>(value).is_some_and(|text| text.to_text().trim().is_empty()),
    }
}

/// A member that is there and not null.
fn present<'a>(object: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    object.get(name).filter(|value| value.get() != "null")
}

/// A string that has something in it.
fn string(value: Option<&RawValue>) -> Option<JsString> {
    value
        .and_then(read)
        .filter(|text| *text != JsString::default())
}

fn text_in(object: &Members<'_>, name: &str) -> Option<String> {
    let text = string(object.get(name))?.to_text();
    (!text.trim().is_empty()).then_some(text)
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}
