//! What a model is told of its character.

use serde_json::Value;

use crate::agents::character::{Character, Profile};

/// How many messages of the history a model is shown, where nothing else is said.
pub(in crate::agents) const HISTORY: usize = 40;

/// How many example conversations are shown.
const MAX_EXAMPLES: usize = 5;

/// The system prompt: the character's own, or one that is made of what the character is.
pub(in crate::agents) fn system(character: &Character) -> String {
    let profile = &character.profile;
    let own = profile.system.as_ref().map(lines).unwrap_or_default();
    let text = if own.is_empty() {
        composed(&character.name, profile)
    } else {
        own.join("\n")
    };
    named(&text, &character.name)
}

fn composed(name: &str, profile: &Profile) -> String {
    let list = |value: &Option<Value>| value.as_ref().map(lines).unwrap_or_default();
    let mut parts = vec![format!("You are {name}.")];
    let bio = list(&profile.bio);
    if !bio.is_empty() {
        parts.push(bio.join("\n"));
    }
    let adjectives = list(&profile.adjectives);
    if !adjectives.is_empty() {
        parts.push(format!("{name} is {}.", adjectives.join(", ")));
    }
    let topics = list(&profile.topics);
    if !topics.is_empty() {
        parts.push(format!("{name} knows about: {}.", topics.join(", ")));
    }
    let rules = style(profile.style.as_ref());
    if !rules.is_empty() {
        parts.push(format!("How {name} writes:\n- {}", rules.join("\n- ")));
    }
    let examples = profile.message_examples.as_ref().map(examples);
    let examples = examples.unwrap_or_default();
    if !examples.is_empty() {
        let examples = examples.join("\n\n");
        parts.push(format!("How {name} talks, by example:\n\n{examples}"));
    }
    parts.join("\n\n")
}

/// The rules for all that the character writes, then those for conversations.
fn style(style: Option<&Value>) -> Vec<String> {
    let Some(style) = style else {
        return Vec::new();
    };
    let parts = ["all", "chat"].iter().filter_map(|part| style.get(*part));
    parts.flat_map(lines).collect()
}

/// Conversations, in either of the forms that files have: a list of messages, or an object with
/// such a list.
fn examples(value: &Value) -> Vec<String> {
    let conversations = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let messages = conversations.iter().filter_map(|conversation| {
        let messages = conversation.get("examples").unwrap_or(conversation);
        messages.as_array()
    });
    let texts = messages.map(|messages| {
        let said: Vec<_> = messages.iter().filter_map(said).collect();
        said.join("\n")
    });
    texts
        .filter(|text| !text.is_empty())
        .take(MAX_EXAMPLES)
        .collect()
}

/// A line of a conversation. Older files say `user` for `name`.
fn said(message: &Value) -> Option<String> {
    let text = message.get("content")?.get("text")?.as_str()?;
    let name = message.get("name").or_else(|| message.get("user"))?;
    Some(format!("{}: {text}", name.as_str()?))
}

/// A text, or the texts of a list.
fn lines(value: &Value) -> Vec<String> {
    let texts = match value {
        Value::String(text) => vec![text.as_str()],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
    texts.map(str::to_owned).collect()
}

/// Puts names in the places that files leave for them.
fn named(text: &str, name: &str) -> String {
    let text = text
        .replace("{{agentName}}", name)
        .replace("{{char}}", name);
    (1..=5).fold(text, |text, number| {
        text.replace(&format!("{{{{user{number}}}}}"), "User")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::domain::time::Timestamp;

    fn system_of(file: &Value) -> String {
        let path = Path::new("ada.json");
        system(&Character::parse(path, &file.to_string(), Timestamp(0)).unwrap())
    }

    #[test]
    fn a_system_prompt_of_its_own_is_all_that_is_said() {
        let file = json!({"name": "Ada", "system": "Be {{agentName}}.", "bio": "Likes engines."});
        assert_eq!(system_of(&file), "Be Ada.");
    }

    #[test]
    fn a_prompt_is_made_of_what_the_character_is_whatever_form_that_has() {
        let older = json!({
            "name": "Ada", "bio": ["Likes engines.", "Was a countess."],
            "adjectives": ["precise", "kind"], "topics": "engines", "system": "",
            "style": {"all": ["be brief"], "chat": ["ask back"], "post": ["no tags"]},
            "messageExamples": [[
                {"user": "{{user1}}", "content": {"text": "Hi {{agentName}}"}},
                {"user": "Ada", "content": {"text": "Good day."}},
            ]],
        });
        let newer = json!({
            "name": "Ada", "bio": "Likes engines.\nWas a countess.",
            "adjectives": ["precise", "kind"], "topics": ["engines"],
            "style": {"all": ["be brief"], "chat": ["ask back"]},
            "messageExamples": [{"examples": [
                {"name": "{{user1}}", "content": {"text": "Hi {{agentName}}"}},
                {"name": "Ada", "content": {"text": "Good day."}},
            ]}],
        });
        let wanted = "You are Ada.\n\nLikes engines.\nWas a countess.\n\nAda is precise, kind.\n\n\
                      Ada knows about: engines.\n\nHow Ada writes:\n- be brief\n- ask back\n\n\
                      How Ada talks, by example:\n\nUser: Hi Ada\nAda: Good day.";
        assert_eq!(system_of(&older), wanted);
        assert_eq!(system_of(&newer), wanted);
        assert_eq!(system_of(&json!({"name": "Ada", "bio": 7})), "You are Ada.");
    }
}
