//! The built-in agent: a rule engine in the manner of Weizenbaum's first ELIZA (1966).
//!
//! A statement is cut into clauses, the clauses are searched for keywords, the keyword of the
//! highest rank decides which decomposition patterns are tried, and the first that fits is put
//! together again as a reply. The script (in `script/`) is this project's own.
//!
//! Nothing is kept between calls. What ELIZA carried from one exchange to the next (which
//! reassembly is due, what was put in memory) is rebuilt by replaying the earlier statements, so
//! a conversation may be answered by any process, after any restart, with the same words.

mod assemble;
pub(in crate::agents) mod backend;
mod decompose;
mod engine;
mod marks;
mod parse;
mod reflect;
mod script;
mod text;

#[cfg(test)]
mod tests;

/// Answers `statement`, given the user's `earlier` statements of the same conversation, oldest
/// first.
///
/// The same arguments always give the same answer, and every input has one.
#[must_use]
fn respond(earlier: &[&str], statement: &str) -> String {
    let script = script::script();
    let mut engine = engine::Engine::new(script);
    let mut text = text::Text::default();
    for past in earlier {
        text.read(script, past);
        engine.hear(past, &text);
    }
    text.read(script, statement);
    let answer = engine.hear(statement, &text);
    engine.say(&text, answer)
}

/// Splits a reply into words, each with the whitespace that follows it, for delivery piece by
/// piece.
///
/// The pieces joined are exactly the reply; an empty reply has none.
fn chunks(reply: &str) -> impl Iterator<Item = &str> {
    let mut rest = reply;
    std::iter::from_fn(move || {
        let end = |from: usize, ends: fn(char) -> bool| {
            let tail = rest.get(from..)?;
            Some(tail.find(ends).map_or(rest.len(), |at| from + at))
        };
        let word = end(0, |c| !c.is_whitespace())?;
        let gap = end(word, char::is_whitespace)?;
        let next = end(gap, |c| !c.is_whitespace())?;
        let (chunk, tail) = rest.split_at(next);
        rest = tail;
        (!chunk.is_empty()).then_some(chunk)
    })
}
