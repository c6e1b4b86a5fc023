//! Members of a character file that name a model or plugins. `ElizaOS` reads them; here only
//! `settings.backend` says what answers.

use serde_json::value::RawValue;

use crate::json::Members;

/// Members of the file that say in `ElizaOS` what answers.
const OF_CHARACTER: [&str; 3] = ["modelProvider", "model", "plugins"];

/// The same of its `settings`.
const OF_SETTINGS: [(&str, &str); 2] = [
    ("modelProvider", "settings.modelProvider"),
    ("model", "settings.model"),
];

/// Returns the names of such members that are not empty.
pub(super) fn find(character: &Members<'_>, settings: &Members<'_>) -> Vec<&'static str> {
    let of_character = OF_CHARACTER.into_iter();
    let of_character = of_character.filter(|name| is_set(character, name));
    let of_settings = OF_SETTINGS.into_iter();
    let of_settings = of_settings.filter(|(name, _)| is_set(settings, name));
    of_character
        .chain(of_settings.map(|(_, path)| path))
        .collect()
}

fn is_set(members: &Members<'_>, name: &str) -> bool {
    members.get(name).is_some_and(|value| !is_empty(value))
}

fn is_empty(value: &RawValue) -> bool {
    let text: String = value.get().split_whitespace().collect();
    matches!(&*text, "null" | "false" | "\"\"" | "[]" | "{}")
}
