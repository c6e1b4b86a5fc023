//! The texts in the members of a character file, whose form depends on its age.

use serde_json::Value;

/// As many as `ElizaOS` uses.
const MAX_EXAMPLES: usize = 5;

/// Returns a string, or the strings of a list, without blank ones.
pub(super) fn lines(value: Option<&Value>) -> Vec<String> {
    let texts = match value {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
    texts.map(str::to_owned).collect()
}

/// Returns the texts of knowledge, and how many entries have none, as those that name a file.
pub(super) fn knowledge(value: Option<&Value>) -> (Vec<String>, usize) {
    let Some(Value::Array(entries)) = value else {
        return (lines(value), 0);
    };
    let texts: Vec<_> = entries.iter().filter_map(knowledge_text).collect();
    let without_text = entries.len() - texts.len();
    let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
    (texts.map(str::to_owned).collect(), without_text)
}

/// Returns a string, or the text of an object or of its content.
fn knowledge_text(entry: &Value) -> Option<&str> {
    let content = entry.get("content");
    let texts = [Some(entry), entry.get("text"), content];
    let texts = texts
        .into_iter()
        .chain([content.and_then(|it| it.get("text"))]);
    texts.flatten().find_map(Value::as_str)
}

/// Returns example conversations, each of which is a list of messages or an object with one.
pub(super) fn examples(value: Option<&Value>) -> Vec<String> {
    let conversations = value.and_then(Value::as_array).into_iter().flatten();
    let messages = conversations.filter_map(|conversation| {
        let messages = conversation.get("examples").unwrap_or(conversation);
        messages.as_array()
    });
    let texts = messages.map(|messages| {
        let lines: Vec<_> = messages.iter().filter_map(example_line).collect();
        lines.join("\n")
    });
    texts
        .filter(|text| !text.is_empty())
        .take(MAX_EXAMPLES)
        .collect()
}

/// Returns a message of an example. Older files call the name `user`.
fn example_line(message: &Value) -> Option<String> {
    let text = message.get("content")?.get("text")?.as_str()?;
    let name = message.get("name").or_else(|| message.get("user"))?;
    Some(format!("{}: {text}", name.as_str()?))
}
