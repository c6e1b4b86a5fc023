//! The grammar: npm's `dotenv`, but for what that would lose or bend without a word.
//!
//! `dotenv` finds its assignments with one regular expression, anywhere in the text, and skips what
//! does not match. This reader goes line by line instead: a line is blank, a comment or an
//! assignment, or it stops the start. Where both read a text, they read the same.

use super::fault::{Fault, FaultKind};
use super::line::{Head, assigned, head, is_blank, is_separator};

/// An assignment.
pub(in super::super) struct Assignment {
    pub(in super::super) name: String,
    pub(in super::super) value: String,
    /// The number of its first line, from 1.
    pub(in super::super) line: usize,
    /// The lines within its quotes that look like assignments: their numbers and names.
    pub(in super::super) enclosed: Vec<(usize, String)>,
}

/// Reads a text whose lines end with `\n`.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, Fault> {
    let mut parser = Parser {
        rest: text,
        line: 1,
    };
    let mut assignments = Vec::new();
    while !parser.rest.is_empty() {
        assignments.extend(parser.next()?);
    }
    Ok(assignments)
}

struct Parser<'a> {
    /// What was not read yet; begins with a line.
    rest: &'a str,
    /// The number of that line.
    line: usize,
}

/// A value, and how many bytes it takes.
struct Value {
    text: String,
    length: usize,
    enclosed: Vec<(usize, String)>,
}

impl Parser<'_> {
    /// Reads a line, or several where a quoted value goes over them.
    fn next(&mut self) -> Result<Option<Assignment>, Fault> {
        let line = first_line(self.rest);
        let body = line.trim_start_matches(is_blank);
        if body.is_empty() || body.starts_with('#') {
            self.pass(0, None)?;
            return Ok(None);
        }
        let (name, after) = match head(body) {
            Head::Assignment(name, after) => (name, after),
            Head::Colon(name) => return Err(self.fault(FaultKind::Colon, Some(name))),
            Head::Other if line.contains(is_separator) => {
                return Err(self.fault(FaultKind::LineSeparator, None));
            }
            Head::Other => return Err(self.fault(FaultKind::NotAnAssignment, None)),
        };
        let start = line.len() - after.len();
        let value = self.value(start, name)?;
        let assignment = Assignment {
            name: name.to_owned(),
            value: value.text,
            line: self.line,
            enclosed: value.enclosed,
        };
        self.pass(start + value.length, Some(name))?;
        Ok(Some(assignment))
    }

    /// Reads the value that starts there.
    fn value(&self, start: usize, name: &str) -> Result<Value, Fault> {
        let after = &self.rest[start..];
        let blanks = after.len() - after.trim_start_matches(is_blank).len();
        match after[blanks..].chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => {
                let mut value = self.quoted(start + blanks, quote, name)?;
                value.length += blanks;
                Ok(value)
            }
            _ => self.bare(first_line(after), name),
        }
    }

    /// Reads a value without quotes: up to the line's end, or to a `#` after white space.
    fn bare(&self, after: &str, name: &str) -> Result<Value, Fault> {
        if after.contains(is_separator) {
            return Err(self.fault(FaultKind::LineSeparator, Some(name)));
        }
        let text = match after.split_once('#') {
            None => after,
            Some((before, _)) if before.ends_with(is_blank) => before,
            Some(_) => return Err(self.fault(FaultKind::HashInValue, Some(name))),
        };
        Ok(Value {
            text: text.trim_matches(is_blank).to_owned(),
            length: text.len(),
            enclosed: Vec::new(),
        })
    }

    /// Reads a value in quotes. As for `dotenv`, a quote behind a backslash closes it only where
    /// the next one without a backslash does not, and the backslash stays.
    fn quoted(&self, open: usize, quote: char, name: &str) -> Result<Value, Fault> {
        let content = &self.rest[open + 1..];
        let mut escaped = Vec::new();
        let mut plain = None;
        for (at, _) in content.match_indices(quote) {
            if !content[..at].ends_with('\\') {
                plain = Some(at);
                break;
            }
            if is_end(&content[at + 1..]) {
                escaped.push(at);
            }
        }
        let closing = plain.filter(|at| is_end(&content[at + 1..]));
        let Some(end) = closing.or(escaped.last().copied()) else {
            let is_closed = plain.is_some_and(|at| !content[..at].contains('\n'));
            let kind = if is_closed {
                FaultKind::TextAfterQuote
            } else {
                FaultKind::UnclosedQuote
            };
            return Err(self.fault(kind, Some(name)));
        };
        let earlier = escaped.first().filter(|at| **at < end);
        if earlier.is_some_and(|at| has_assignment(&content[*at..end])) {
            return Err(self.fault(FaultKind::UnclearEnd, Some(name)));
        }
        let text = &content[..end];
        Ok(Value {
            text: unescaped(text, quote),
            length: end + 2,
            enclosed: self.enclosed(text),
        })
    }

    /// The lines of a quoted value that would be assignments outside of it.
    fn enclosed(&self, text: &str) -> Vec<(usize, String)> {
        let lines = (self.line..).zip(text.split('\n')).skip(1);
        lines
            .filter_map(|(number, line)| Some((number, assigned(line)?.to_owned())))
            .collect()
    }

    /// Goes on behind this many bytes and the rest of their last line, which is a comment or blank.
    fn pass(&mut self, read: usize, name: Option<&str>) -> Result<(), Fault> {
        let (read, rest) = self.rest.split_at(read);
        self.line += read.matches('\n').count();
        let comment = first_line(rest);
        if comment.contains(is_separator) {
            return Err(self.fault(FaultKind::LineSeparator, name));
        }
        let rest = &rest[comment.len()..];
        self.rest = rest.strip_prefix('\n').unwrap_or(rest);
        self.line += 1;
        Ok(())
    }

    fn fault(&self, kind: FaultKind, name: Option<&str>) -> Fault {
        Fault::new(self.line, kind, name)
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// Whether a later line of a text looks like an assignment.
fn has_assignment(text: &str) -> bool {
    text.split('\n')
        .skip(1)
        .any(|line| assigned(line).is_some())
}

/// Whether a value may end before this.
fn is_end(after: &str) -> bool {
    let after = after.trim_start_matches(is_blank);
    after.is_empty() || after.starts_with(['\n', '#']) || after.starts_with(is_separator)
}

/// What stands between quotes. Only double quotes know escapes, and only these two.
fn unescaped(text: &str, quote: char) -> String {
    match quote {
        '"' => text.replace("\\n", "\n").replace("\\r", "\r"),
        _ => text.to_owned(),
    }
}
