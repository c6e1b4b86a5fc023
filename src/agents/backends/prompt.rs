//! The system prompt of a character.

use serde_json::Value;

use crate::agents::character::{Character, Profile};

/// The default number of earlier messages that a model receives.
pub(crate) const HISTORY: usize = 40;

const MAX_EXAMPLES: usize = 5;

/// Returns the character's own system prompt, or one composed from its profile.
pub(crate) fn system(character: &Character) -> String {
    let profile = &character.profile;
    let own = lines(profile.system.as_ref());
    let text = if own.is_empty() {
        composed(&character.name, profile)
    } else {
        own.join("\n")
    };
    fill_in(&text, &character.name)
}

fn composed(name: &str, profile: &Profile) -> String {
    let style = profile.style.as_ref();
    let rules = ["all", "chat"].map(|kind| lines(style.and_then(|style| style.get(kind))));
    let adjectives = lines(profile.adjectives.as_ref());
    let topics = lines(profile.topics.as_ref());
    let examples = examples(profile.message_examples.as_ref());
    let sections = [
        Some(format!("You are {name}.")),
        joined(&lines(profile.bio.as_ref()), "\n"),
        joined(&adjectives, ", ").map(|list| format!("{name} is {list}.")),
        joined(&topics, ", ").map(|list| format!("{name} knows about: {list}.")),
        joined(&rules.concat(), "\n- ").map(|list| format!("How {name} writes:\n- {list}")),
        joined(&examples, "\n\n").map(|list| format!("How {name} talks, by example:\n\n{list}")),
    ];
    let sections: Vec<_> = sections.into_iter().flatten().collect();
    sections.join("\n\n")
}

fn joined(texts: &[String], separator: &str) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(separator))
}

/// Returns example conversations, each of which is a list of messages or an object with one.
fn examples(value: Option<&Value>) -> Vec<String> {
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

/// Returns a string, or the strings of a list, without blank ones.
fn lines(value: Option<&Value>) -> Vec<String> {
    let texts = match value {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
    texts.map(str::to_owned).collect()
}

/// Replaces the placeholders for names.
fn fill_in(text: &str, name: &str) -> String {
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
    fn the_characters_own_system_prompt_is_used_as_it_is() {
        let file = json!({"name": "Ada", "system": "Be {{agentName}}.", "bio": "Likes engines."});
        assert_eq!(system_of(&file), "Be Ada.");
    }

    #[test]
    fn a_prompt_is_composed_from_older_and_newer_files() {
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
