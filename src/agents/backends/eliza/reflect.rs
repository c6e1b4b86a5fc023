//! Reflection: the user's words as the agent says them back.

use super::script::Script;
use super::text::Token;

/// What the agent says for the word at this place of a clause.
pub(super) fn reflect<'a>(script: &Script, clause: &[Token<'a>], at: usize) -> Said<'a> {
    let Some(token) = clause.get(at) else {
        return Said::Other("");
    };
    let before = |back: usize| {
        let token = at.checked_sub(back).and_then(|at| clause.get(at));
        token.map_or("", |token| token.word.spelling)
    };
    let after = || {
        let token = clause.get(at + 1);
        token.map_or("", |token| token.word.spelling)
    };
    // "I really was" has an adverb in between.
    let of = |who: &str| {
        let adverb = at.checked_sub(1).and_then(|at| clause.get(at));
        let adverb = adverb.is_some_and(|token| token.word.is(script.grammar.adverb));
        before(1) == who || adverb && before(2) == who
    };
    let by = |who: &str| of(who) || after() == who;
    Said::Other(match token.word.spelling {
        "i" | "me" => "you",
        "my" => "your",
        "mine" => "yours",
        "myself" => "yourself",
        "i'd" => "you'd",
        "i'll" => "you'll",
        "am" => "are",
        "was" if by("i") => "were",
        "wasn't" if by("i") => "weren't",
        "you" if is_subject(script, clause, at) => "I",
        "you" => "me",
        "your" => "my",
        "yours" => "mine",
        "yourself" => "myself",
        "you'd" => "I'd",
        "you'll" => "I'll",
        "are" if by("you") => "am",
        "were" if by("you") => "was",
        "aren't" if of("you") => "am not",
        "weren't" if by("you") => "wasn't",
        _ => return Said::Same(token.text, is_lowered(script, token)),
    })
}

/// A reflected word.
pub(super) enum Said<'a> {
    /// The user's own word, and whether its first letter should be lowered.
    Same(&'a str, bool),
    Other(&'static str),
}

/// Whether "you" is the subject here (so that the agent says "I") and not the object ("me").
///
/// English does not mark it, so the neighbours decide.
fn is_subject(script: &Script, clause: &[Token<'_>], at: usize) -> bool {
    let grammar = &script.grammar;
    let is = |place: Option<usize>, class: u64| {
        let token = place.and_then(|place| clause.get(place));
        token.is_some_and(|token| token.word.is(class))
    };
    let (before, after) = (at.checked_sub(1), Some(at + 1));
    let asked = is(before, grammar.auxiliary);
    if at + 1 >= clause.len() || is(after, grammar.preposition | grammar.conjunction) {
        return asked;
    }
    if is(after, grammar.auxiliary) || asked || before.is_none() {
        return true;
    }
    is(before, grammar.conjunction) || !is(before, grammar.verb | grammar.preposition)
}

/// Whether the word has a capital only because it opened a sentence.
fn is_lowered(script: &Script, token: &Token<'_>) -> bool {
    token.opens
        && token.word.is_known()
        && !token.word.is(script.grammar.proper)
        && token.text.chars().skip(1).all(|c| !c.is_uppercase())
}
