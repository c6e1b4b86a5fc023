//! Reassembly: a reply from its template and the parts of the user's clause.

use std::ops::Range;

use super::reflect::{Said, reflect};
use super::script::Script;
use super::text::Token;

/// The most characters of the user's words in one part of a reply. The templates leave room for
/// that many, so that a reply stays below six hundred characters.
const LONGEST_PART: usize = 200;

/// What comes after the words of a part that was cut short.
const AND_SO_ON: &str = " and so on";

/// The most characters of a name, and of all the words of one.
const LONGEST_NAME: usize = 60;

/// Fills in a template: `$1` and so on with the reflected part, `$name` with the name.
pub(super) fn assemble<'t>(
    template: &'t str,
    part: impl Fn(usize) -> String,
    name: Option<&'t str>,
) -> String {
    let mut reply = String::with_capacity(template.len() + LONGEST_PART);
    let mut pieces = template.split('$');
    reply.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (mark, rest) = piece.split_at(digits);
        let (words, rest) = match (mark.parse(), rest.strip_prefix("name")) {
            (Ok(number), _) => (part(number), rest),
            (Err(_), Some(rest)) => (name.unwrap_or("friend").to_owned(), rest),
            (Err(_), None) => (String::new(), rest),
        };
        if words.is_empty() && reply.ends_with(' ') {
            // The blank before a part that is not there.
            reply.pop();
        }
        reply.push_str(&words);
        reply.push_str(rest);
    }
    capitalised(reply.trim_start())
}

/// The words of a part as the agent says them, shortened where a word ends.
pub(super) fn part(script: &Script, clause: &[Token<'_>], range: Range<usize>) -> String {
    let mut said = String::new();
    let mut length = 0;
    for at in range {
        let (word, lower) = match reflect(script, clause, at) {
            Said::Same(word, lower) => (word, lower),
            Said::Other(word) => (word, false),
        };
        let room = LONGEST_PART - AND_SO_ON.len() - 1 - length;
        let characters = word.chars().take(room + 1).count();
        if characters > room {
            if length == 0 {
                said.push_str(cut(word, room));
                said.push('…');
            } else {
                said.push_str(AND_SO_ON);
            }
            break;
        }
        if length > 0 {
            said.push(' ');
        }
        let mut rest = word.chars();
        if lower {
            said.extend(rest.next().into_iter().flat_map(char::to_lowercase));
        }
        said.push_str(rest.as_str());
        length = (length + characters + 1).min(LONGEST_PART - AND_SO_ON.len() - 1);
    }
    said
}

/// The name that begins a part: one word, and such further ones as look like a name's.
pub(super) fn name(script: &Script, words: &[Token<'_>]) -> Option<String> {
    let grammar = &script.grammar;
    let first = words.first()?;
    if first.word.is(grammar.nameless) || !first.text.chars().any(char::is_alphabetic) {
        return None;
    }
    let mut name = String::new();
    for (at, token) in words.iter().take(4).enumerate() {
        let particle = token.word.is(grammar.particle);
        let last = at + 1 == words.len();
        if at > 0 && token.word.is_known() && (!particle || last) {
            break;
        }
        if name.chars().count() + token.text.chars().count() >= LONGEST_NAME {
            break;
        }
        if at > 0 {
            name.push(' ');
        }
        if particle && at > 0 || token.text.chars().any(char::is_uppercase) {
            name.push_str(token.text);
        } else {
            name.push_str(&capitalised(token.text));
        }
    }
    (!name.is_empty()).then_some(name)
}

/// At most so many characters of a word, without parting a letter from its accents or an emoji
/// from what modifies it.
fn cut(word: &str, most: usize) -> &str {
    let joins = |c: char| match c {
        '\u{200d}' => true,
        _ => matches!(c, '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '🏻'..='🏿'),
    };
    let mut ends = word.char_indices().map(|(at, _)| at);
    let Some(mut end) = ends.nth(most) else {
        return word;
    };
    // A word that is all accents is cut anyhow.
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

/// The text with its first letter a capital.
fn capitalised(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest.as_str().chars()).collect()
}
