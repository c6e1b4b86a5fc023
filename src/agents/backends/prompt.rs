//! The system prompt of a character.

mod placeholders;
mod texts;

use self::placeholders::fill_in;
use self::texts::{examples, knowledge, lines};
use crate::agents::character::Character;

/// The default number of earlier messages that a model receives.
pub(crate) const HISTORY: usize = 40;

/// A part of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptField {
    System,
    Bio,
    Adjectives,
    Topics,
    Style,
    Lore,
    Knowledge,
    MessageExamples,
}

/// The parts by their names in a character file, in their order in the prompt.
pub(crate) const PROMPT_FIELDS: [(&str, PromptField); 8] = [
    ("system", PromptField::System),
    ("bio", PromptField::Bio),
    ("adjectives", PromptField::Adjectives),
    ("topics", PromptField::Topics),
    ("style", PromptField::Style),
    ("lore", PromptField::Lore),
    ("knowledge", PromptField::Knowledge),
    ("messageExamples", PromptField::MessageExamples),
];

/// The parts that are shortened if the prompt is too long, in this order.
const EXPENDABLE: [PromptField; 3] = [
    PromptField::Knowledge,
    PromptField::Lore,
    PromptField::MessageExamples,
];

/// A character's system prompt. It is the same in each turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SystemPrompt {
    pub(crate) text: String,
    /// What does not reach the model as the character file says it.
    pub(crate) warnings: Vec<String>,
}

impl SystemPrompt {
    /// Returns the prompt of a character with these parts of it, or with all of them. If it is
    /// longer than `max_chars`, expendable texts are left out, the last ones first.
    pub(crate) fn new(
        character: &Character,
        fields: Option<&[PromptField]>,
        max_chars: Option<usize>,
    ) -> Self {
        let mut parts = Parts::new(character);
        if let Some(fields) = fields {
            parts.items.retain(|(field, _)| fields.contains(field));
        }
        let mut warnings = Vec::new();
        if parts.has(PromptField::Knowledge) {
            warnings.extend(parts.unread_knowledge());
        }
        if let Some(max_chars) = max_chars {
            warnings.extend(parts.shorten(max_chars));
        }
        let text = parts.text();
        Self { text, warnings }
    }
}

/// The texts of the parts, with the names filled in.
struct Parts<'a> {
    name: &'a str,
    items: Vec<(PromptField, Vec<String>)>,
    /// How many entries of the knowledge have no text.
    without_text: usize,
}

impl<'a> Parts<'a> {
    fn new(character: &'a Character) -> Self {
        let (name, profile) = (character.name.as_str(), &character.profile);
        let background = &character.background;
        let style = profile.style.as_ref();
        let rules = ["all", "chat"].map(|kind| lines(style.and_then(|style| style.get(kind))));
        let (knowledge, without_text) = knowledge(background.knowledge.as_ref());
        let items = [
            (PromptField::System, lines(profile.system.as_ref())),
            (PromptField::Bio, lines(profile.bio.as_ref())),
            (PromptField::Adjectives, lines(profile.adjectives.as_ref())),
            (PromptField::Topics, lines(profile.topics.as_ref())),
            (PromptField::Style, rules.concat()),
            (PromptField::Lore, lines(background.lore.as_ref())),
            (PromptField::Knowledge, knowledge),
            (
                PromptField::MessageExamples,
                examples(profile.message_examples.as_ref()),
            ),
        ];
        let filled = items.into_iter().map(|(field, texts)| {
            let texts = texts.iter().map(|text| fill_in(text, name));
            (field, texts.collect())
        });
        Self {
            name,
            items: filled.collect(),
            without_text,
        }
    }

    fn has(&self, field: PromptField) -> bool {
        self.items.iter().any(|(found, _)| *found == field)
    }

    fn texts(&self, field: PromptField) -> &[String] {
        let mut items = self.items.iter();
        let found = items.find(|(found, _)| *found == field);
        found.map_or(&[], |(_, texts)| texts)
    }

    fn text(&self) -> String {
        let intro = format!("You are {}.", self.name);
        let is_own = !self.texts(PromptField::System).is_empty();
        let intro = (!is_own).then_some(intro);
        let parts = PROMPT_FIELDS.map(|(_, field)| self.section(field, is_own));
        let sections: Vec<_> = intro
            .into_iter()
            .chain(parts.into_iter().flatten())
            .collect();
        sections.join("\n\n")
    }

    /// Returns a part with its heading; `None` without texts.
    fn section(&self, field: PromptField, has_own_system: bool) -> Option<String> {
        let name = self.name;
        let texts = self.texts(field);
        if texts.is_empty() {
            return None;
        }
        let joined = |separator| texts.join(separator);
        Some(match field {
            PromptField::Bio if has_own_system => format!("About {name}:\n{}", joined("\n")),
            PromptField::System | PromptField::Bio => joined("\n"),
            PromptField::Adjectives => format!("{name} is {}.", joined(", ")),
            PromptField::Topics => format!("{name} knows about: {}.", joined(", ")),
            PromptField::Style => format!("How {name} writes:\n- {}", joined("\n- ")),
            PromptField::Lore => format!("The background of {name}:\n- {}", joined("\n- ")),
            PromptField::Knowledge => format!("What {name} knows:\n\n{}", joined("\n\n")),
            PromptField::MessageExamples => {
                format!("How {name} talks, by example:\n\n{}", joined("\n\n"))
            }
        })
    }

    /// Leaves out expendable texts until the prompt is short enough; returns warnings about them.
    fn shorten(&mut self, max_chars: usize) -> Vec<String> {
        let mut length = self.text().chars().count();
        let mut left_out = Vec::new();
        for field in EXPENDABLE {
            let mut items = self.items.iter_mut();
            let Some((_, texts)) = items.find(|(found, _)| *found == field) else {
                continue;
            };
            let all = texts.len();
            while length > max_chars
                && let Some(text) = texts.pop()
            {
                length = length.saturating_sub(text.chars().count() + 1);
            }
            let count = all - texts.len();
            let name = PROMPT_FIELDS.iter().find(|(_, known)| *known == field);
            if let (1.., Some((name, _))) = (count, name) {
                left_out.push(format!("{count} of {all} texts of {name}"));
            }
        }
        let mut warnings = Vec::new();
        if !left_out.is_empty() {
            warnings.push(format!(
                "the system prompt of {:?} has to fit into half of contextTokens: the last {} do \
                 not reach the model",
                self.name,
                left_out.join(" and the last ")
            ));
        }
        let length = self.text().chars().count();
        if length > max_chars {
            warnings.push(format!(
                "the system prompt of {:?}, of {length} characters, does not fit into half of \
                 contextTokens, which is about {max_chars}: little is left for the conversation \
                 (promptFields limits the prompt)",
                self.name
            ));
        }
        warnings
    }

    fn unread_knowledge(&self) -> Option<String> {
        (self.without_text > 0).then(|| {
            format!(
                "the knowledge of {:?} has {} entries without a text, which do not reach the \
                 model: files and directories that it names are not read",
                self.name, self.without_text
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::time::Timestamp;

    fn prompt(file: &Value, fields: Option<&[PromptField]>, max: Option<usize>) -> SystemPrompt {
        let path = Path::new("ada.json");
        let character = Character::parse(path, &file.to_string(), Timestamp(0)).unwrap();
        SystemPrompt::new(&character, fields, max)
    }

    fn system_of(file: &Value) -> String {
        let prompt = prompt(file, None, None);
        assert_eq!(prompt.warnings, Vec::<String>::new());
        prompt.text
    }

    fn whole() -> Value {
        json!({
            "name": "Ada", "system": ["Be {{agentName}}.", "Be brief."], "bio": "Likes engines.",
            "adjectives": ["precise"], "topics": ["engines"],
            "style": {"all": ["be brief"], "chat": ["ask {{user1}} back"], "post": ["no tags"]},
            "lore": ["{{char}} was a countess."],
            "knowledge": ["It has mills.", {"text": "It has a store."}],
            "messageExamples": [[
                {"name": "{{name1}}", "content": {"text": "Hi {{ name }}"}},
                {"name": "Ada", "content": {"text": "Good day."}},
            ]],
            "postExamples": ["Not this."],
        })
    }

    #[test]
    fn the_whole_character_follows_its_own_system_prompt() {
        let wanted = "Be Ada.\nBe brief.\n\nAbout Ada:\nLikes engines.\n\nAda is precise.\n\n\
                      Ada knows about: engines.\n\nHow Ada writes:\n- be brief\n- ask User back\n\n\
                      The background of Ada:\n- Ada was a countess.\n\n\
                      What Ada knows:\n\nIt has mills.\n\nIt has a store.\n\n\
                      How Ada talks, by example:\n\nUser: Hi Ada\nAda: Good day.";
        assert_eq!(system_of(&whole()), wanted);
        assert_eq!(system_of(&whole()), wanted, "it is always the same");
        let starter = json!({ "name": "Ada", "system": "Be kind.", "bio": [] });
        assert_eq!(system_of(&starter), "Be kind.");
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

    #[test]
    fn prompt_fields_limit_the_prompt() {
        let with = |fields: &[PromptField]| prompt(&whole(), Some(fields), None).text;
        assert_eq!(with(&[PromptField::System]), "Be Ada.\nBe brief.");
        let two = [PromptField::Knowledge, PromptField::Bio];
        let wanted = "You are Ada.\n\nLikes engines.\n\n\
                      What Ada knows:\n\nIt has mills.\n\nIt has a store.";
        assert_eq!(with(&two), wanted);
        assert_eq!(with(&[]), "You are Ada.");
    }

    #[test]
    fn a_prompt_that_is_too_long_loses_knowledge_first_and_never_the_system_prompt() {
        let mut file = whole();
        let whole = prompt(&file, None, None);
        let length = whole.text.chars().count();
        assert_eq!(prompt(&file, None, Some(length)), whole);

        let shorter = prompt(&file, None, Some(length - 1));
        assert!(shorter.text.contains("mills") && !shorter.text.contains("store"));
        assert!(shorter.text.chars().count() < length);
        let warning = "the system prompt of \"Ada\" has to fit into half of contextTokens: the last \
                       1 of 2 texts of knowledge do not reach the model";
        assert_eq!(shorter.warnings, [warning]);

        let shortest = prompt(&file, None, Some(10));
        assert!(
            shortest
                .text
                .starts_with("Be Ada.\nBe brief.\n\nAbout Ada:")
        );
        assert!(
            shortest.text.ends_with("- ask User back"),
            "{}",
            shortest.text
        );
        assert_eq!(shortest.warnings.len(), 2, "{:#?}", shortest.warnings);
        let all = "2 of 2 texts of knowledge and the last 1 of 1 texts of lore and the last 1 of 1 \
                   texts of messageExamples";
        assert!(
            shortest.warnings[0].contains(all),
            "{:#?}",
            shortest.warnings
        );
        assert!(shortest.warnings[1].contains("promptFields"));

        // Without a limit, nothing is left out.
        file["knowledge"] = json!(["It has mills. ".repeat(10_000)]);
        assert!(system_of(&file).chars().count() > 100_000);
    }

    #[test]
    fn knowledge_that_is_in_files_is_warned_about() {
        let knowledge = json!([
            "One.", {"content": "Two."}, {"content": {"text": "Three."}}, " ",
            {"path": "docs/a.md", "shared": true}, {"directory": "docs"}, 7,
        ]);
        let file = json!({ "name": "Ada", "knowledge": knowledge });
        let found = prompt(&file, None, None);
        let text = "You are Ada.\n\nWhat Ada knows:\n\nOne.\n\nTwo.\n\nThree.";
        assert_eq!(found.text, text);
        assert_eq!(found.warnings.len(), 1, "{:#?}", found.warnings);
        assert!(found.warnings[0].contains("3 entries without a text"));
        let found = prompt(&file, Some(&[PromptField::System]), None);
        assert_eq!(found.warnings, Vec::<String>::new());
    }
}
