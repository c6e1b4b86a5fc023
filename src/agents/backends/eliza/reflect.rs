//! Reflection: turns the user's words into the agent's point of view.

use super::script::Script;
use super::text::Token;

/// Returns what the agent says for a word of a clause, and whether its first letter becomes lower
/// case.
pub(super) fn reflect<'a>(script: &Script, clause: &[Token<'a>], at: usize) -> (&'a str, bool) {
    let Some(token) = clause.get(at) else {
        return ("", false);
    };
    let word = |at: Option<usize>| at.and_then(|at| clause.get(at)).map(|token| token.word);
    let spelling = |at| word(at).map_or("", |word| word.spelling);
    let (before, after) = (at.checked_sub(1), Some(at + 1));
    let follows = |who: &str| {
        // "I really was" has an adverb in between.
        let adverb = word(before).is_some_and(|word| word.is(script.grammar.adverb));
        spelling(before) == who || adverb && spelling(at.checked_sub(2)) == who
    };
    let adjoins = |who: &str| follows(who) || spelling(after) == who;
    let reflected = match token.word.spelling {
        "i" | "me" => "you",
        "my" => "your",
        "mine" => "yours",
        "myself" => "yourself",
        "i'd" => "you'd",
        "i'll" => "you'll",
        "am" => "are",
        "was" if adjoins("i") => "were",
        "wasn't" if adjoins("i") => "weren't",
        "you" if is_subject(script, clause, at) => "I",
        "you" => "me",
        "your" => "my",
        "yours" => "mine",
        "yourself" => "myself",
        "you'd" => "I'd",
        "you'll" => "I'll",
        "are" if adjoins("you") => "am",
        "were" if adjoins("you") => "was",
        "aren't" if follows("you") => "am not",
        "weren't" if adjoins("you") => "wasn't",
        _ => return (token.text, is_lowered(script, token)),
    };
    (reflected, false)
}

/// Returns whether "you" is the subject here (the agent says "I") and not the object ("me").
///
/// English does not mark it, so the neighbouring words decide.
fn is_subject(script: &Script, clause: &[Token<'_>], at: usize) -> bool {
    let grammar = &script.grammar;
    let is = |at: Option<usize>, class: u64| {
        let token = at.and_then(|at| clause.get(at));
        token.is_some_and(|token| token.word.is(class))
    };
    let (before, after) = (at.checked_sub(1), Some(at + 1));
    let is_asked = is(before, grammar.auxiliary);
    if at + 1 >= clause.len() || is(after, grammar.preposition | grammar.conjunction) {
        return is_asked;
    }
    if is(after, grammar.auxiliary) || is_asked || before.is_none() {
        return true;
    }
    is(before, grammar.conjunction) || !is(before, grammar.verb | grammar.preposition)
}

/// Returns whether the word is capitalised only because it opens a sentence.
fn is_lowered(script: &Script, token: &Token<'_>) -> bool {
    token.opens_sentence
        && token.word.is_known()
        && !token.word.is(script.grammar.proper)
        && token.text.chars().skip(1).all(|c| !c.is_uppercase())
}
