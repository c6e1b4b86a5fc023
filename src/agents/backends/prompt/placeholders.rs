//! The placeholders for names in the texts of a character file.

const OPENING: &str = "{{";
const CLOSING: &str = "}}";

/// Replaces the placeholders for the agent's name, and those for users, who are called "User": the
/// prompt is the same for all of them. Others stay.
pub(super) fn fill_in(text: &str, agent: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPENING) {
        let Some((placeholder, following)) = after.split_once(CLOSING) else {
            break;
        };
        filled.push_str(before);
        if let Some(name) = name_for(placeholder, agent) {
            filled.push_str(&name);
            rest = following;
        } else {
            // A placeholder may begin with the second brace.
            filled.push('{');
            rest = &rest[before.len() + 1..];
        }
    }
    filled + rest
}

fn name_for(placeholder: &str, agent: &str) -> Option<String> {
    let placeholder = placeholder.trim().to_ascii_lowercase();
    if ["name", "agentname", "char"].contains(&placeholder.as_str()) {
        return Some(agent.to_owned());
    }
    let number = placeholder
        .strip_prefix("user")
        .or_else(|| placeholder.strip_prefix("name"))?;
    match number {
        "" | "1" => Some("User".to_owned()),
        _ => {
            let number: u8 = number.parse().ok()?;
            Some(format!("User {number}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_the_rest_stays() {
        for (text, wanted) in [
            (
                "{{name}} {{agentName}} {{ char }} {{CHAR}}",
                "Ada Ada Ada Ada",
            ),
            (
                "{{user}} {{user1}} {{name1}} {{user2}}",
                "User User User User 2",
            ),
            ("{{other}} {{user2x}} {{}}", "{{other}} {{user2x}} {{}}"),
            ("{{ {{user1}} }} {{{name}}}", "{{ User }} {Ada}"),
            ("{{name", "{{name"),
            ("a}} {{ b", "a}} {{ b"),
        ] {
            assert_eq!(fill_in(text, "Ada"), wanted, "{text}");
        }
        assert_eq!(fill_in("{{char}}", "{{user1}}"), "{{user1}}");
    }
}
