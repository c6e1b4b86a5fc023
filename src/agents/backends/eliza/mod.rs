//! The built-in agent: a rule engine modelled on Weizenbaum's first ELIZA (1966).
//!
//! A statement is split into clauses, which are searched for keywords. The keyword of the highest
//! rank selects the decomposition patterns to try, and the first one that matches is reassembled
//! into a reply. The script (in `script/`) is this project's own.
//!
//! Nothing is stored between calls. The state that ELIZA carries from one exchange to the next
//! (which reply comes next, what is remembered) is rebuilt by replaying the earlier statements, so
//! any process gives the same answers, also after a restart.

mod assemble;
pub(crate) mod backend;
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
    let script = parse::script();
    let mut engine = engine::Engine::new(script);
    for past in earlier {
        engine.hear(past, &text::Statement::new(script, past));
    }
    let text = text::Statement::new(script, statement);
    let answer = engine.hear(statement, &text);
    engine.say(&text, answer)
}
