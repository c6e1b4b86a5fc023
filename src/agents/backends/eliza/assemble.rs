//! Reassembly: fills in a reply's template with parts of the user's clause.

use std::ops::Range;

use super::reflect::reflect;
use super::script::Script;
use super::text::Token;

/// Follows a part that was shortened.
const AND_SO_ON: &str = " and so on";

/// The maximum length of a part without [`AND_SO_ON`], in characters. The templates are short
/// enough for a reply to stay below 600 characters.
const MAX_PART_CHARS: usize = 199 - AND_SO_ON.len();

/// The maximum length of a name, in characters.
const MAX_NAME_CHARS: usize = 60;

/// Fills in a template: `$1` and so on with the reflected part, `$name` with the name.
pub(super) fn assemble<'t>(
    template: &'t str,
    part: impl Fn(usize) -> String,
    name: Option<&'t str>,
) -> String {
    let mut reply = String::new();
    let mut pieces = template.split('$');
    reply.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = piece.split_at(digits);
        let (words, rest) = match (number.parse(), rest.strip_prefix("name")) {
            (Ok(number), _) => (part(number), rest),
            (Err(_), Some(rest)) => (name.unwrap_or("friend").to_owned(), rest),
            (Err(_), None) => (String::new(), rest),
        };
        if words.is_empty() && reply.ends_with(' ') {
            // The blank before an empty part.
            reply.pop();
        }
        reply.push_str(&words);
        reply.push_str(rest);
    }
    capitalised(reply.trim_start())
}

/// Returns the words of a part as the agent says them, shortened at the end of a word.
pub(super) fn part(script: &Script, clause: &[Token<'_>], range: Range<usize>) -> String {
    let mut part = String::new();
    let mut length = 0;
    for at in range {
        let (word, is_lowered) = reflect(script, clause, at);
        let left = MAX_PART_CHARS - length;
        let characters = word.chars().take(left + 1).count();
        if characters > left {
            if length == 0 {
                part.push_str(cut(word, left));
                part.push('…');
            } else {
                part.push_str(AND_SO_ON);
            }
            break;
        }
        if length > 0 {
            part.push(' ');
        }
        let mut rest = word.chars();
        if is_lowered {
            part.extend(rest.next().into_iter().flat_map(char::to_lowercase));
        }
        part.push_str(rest.as_str());
        length = (length + characters + 1).min(MAX_PART_CHARS);
    }
    part
}

/// Returns the name that begins a part: one word, and further ones that look like a name's.
pub(super) fn name(script: &Script, words: &[Token<'_>]) -> Option<String> {
    let grammar = &script.grammar;
    let first = words.first()?;
    if first.word.is(grammar.nameless) || !first.text.chars().any(char::is_alphabetic) {
        return None;
    }
    let mut name = String::new();
    for (at, token) in words.iter().take(4).enumerate() {
        let is_particle = token.word.is(grammar.particle);
        let is_last = at + 1 == words.len();
        if at > 0 && token.word.is_known() && (!is_particle || is_last)
            || name.chars().count() + token.text.chars().count() >= MAX_NAME_CHARS
        {
            break;
        }
        if at > 0 {
            name.push(' ');
        }
        if is_particle && at > 0 || token.text.chars().any(char::is_uppercase) {
            name.push_str(token.text);
        } else {
            name.push_str(&capitalised(token.text));
        }
    }
    (!name.is_empty()).then_some(name)
}

/// Returns at most `max` characters of a word, without separating a letter from its accents or an
/// emoji from its modifiers.
fn cut(word: &str, max: usize) -> &str {
    let joins = |c: char| match c {
        '\u{200d}' => true,
        _ => matches!(c, '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '🏻'..='🏿'),
    };
    let mut ends = word.char_indices().map(|(at, _)| at);
    let Some(mut end) = ends.nth(max) else {
        return word;
    };
    // Bounded, for words that are all accents.
    for _ in 0..16 {
        let (head, tail) = word.split_at(end);
        let Some(last) = head.chars().next_back() else {
            break;
        };
        if last != '\u{200d}' && !tail.starts_with(joins) {
            break;
        }
        end -= last.len_utf8();
    }
    word.get(..end).unwrap_or_default()
}

fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest.as_str().chars()).collect()
}
