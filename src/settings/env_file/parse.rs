//! The grammar of npm's `dotenv`, minus everything that it would silently lose or change.
//!
//! `dotenv` finds assignments anywhere in the text with one regular expression, and skips what does
//! not match. This parser reads line by line: each line is blank, a comment or an assignment, or
//! else a fault. A text that both accept has the same values for both.

use super::fault::{EnvFileFault, FaultKind};
use super::line::{Head, assigned, head, is_blank, is_separator};

/// An assignment.
pub(in super::super) struct Assignment {
    pub(in super::super) name: String,
    pub(in super::super) value: String,
    /// Number of its first line, from 1.
    pub(in super::super) line: usize,
    /// The lines within its quotes that look like assignments: their numbers and names.
    pub(in super::super) enclosed: Vec<(usize, String)>,
}

/// Parses a text whose lines end with `\n`.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, EnvFileFault> {
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
    /// The unread text, from the beginning of a line.
    rest: &'a str,
    /// The number of that line.
    line: usize,
}

/// A value, and the offset of its end in the unread text.
struct Value {
    text: String,
    end: usize,
    enclosed: Vec<(usize, String)>,
}

impl Parser<'_> {
    /// Parses a line, or several if a quoted value spans them.
    fn next(&mut self) -> Result<Option<Assignment>, EnvFileFault> {
        let line = first_line(self.rest);
        let body = line.trim_start_matches(is_blank);
        if body.is_empty() || body.starts_with('#') {
            self.skip(0, None)?;
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
        let value = self.value(line.len() - after.len(), name)?;
        let assignment = Assignment {
            name: name.to_owned(),
            value: value.text,
            line: self.line,
            enclosed: value.enclosed,
        };
        self.skip(value.end, Some(name))?;
        Ok(Some(assignment))
    }

    /// Parses the value at an offset.
    fn value(&self, start: usize, name: &str) -> Result<Value, EnvFileFault> {
        let after = self.rest[start..].trim_start_matches(is_blank);
        match after.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => {
                self.quoted(self.rest.len() - after.len(), quote, name)
            }
            _ => self.bare(start, name),
        }
    }

    /// Parses a value without quotes, which ends with the line or before a `#` that follows a
    /// blank.
    fn bare(&self, start: usize, name: &str) -> Result<Value, EnvFileFault> {
        let after = first_line(&self.rest[start..]);
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
            end: start + text.len(),
            enclosed: Vec::new(),
        })
    }

    /// Parses a value in quotes. As in `dotenv`, a quote after a backslash closes it only if the
    /// next quote without one does not, and the backslash stays.
    fn quoted(&self, open: usize, quote: char, name: &str) -> Result<Value, EnvFileFault> {
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
        if earlier.is_some_and(|at| self.enclosed(&content[*at..end]).next().is_some()) {
            return Err(self.fault(FaultKind::UnclearEnd, Some(name)));
        }
        let text = &content[..end];
        Ok(Value {
            text: unescaped(text, quote),
            end: open + end + 2,
            enclosed: self.enclosed(text).collect(),
        })
    }

    /// Returns the later lines of a quoted text that would be assignments outside of it.
    fn enclosed(&self, text: &str) -> impl Iterator<Item = (usize, String)> {
        let lines = (self.line..).zip(text.split('\n')).skip(1);
        lines.filter_map(|(number, line)| Some((number, assigned(line)?.to_owned())))
    }

    /// Continues after this many bytes and the rest of their last line, a comment or blanks.
    fn skip(&mut self, read: usize, name: Option<&str>) -> Result<(), EnvFileFault> {
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

    fn fault(&self, kind: FaultKind, name: Option<&str>) -> EnvFileFault {
        EnvFileFault::new(self.line, kind, name)
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// Whether a quoted value may end before this text.
fn is_end(after: &str) -> bool {
    let after = after.trim_start_matches(is_blank);
    after.is_empty() || after.starts_with(['\n', '#']) || after.starts_with(is_separator)
}

/// Replaces the escapes, which exist only in double quotes.
fn unescaped(text: &str, quote: char) -> String {
    match quote {
        '"' => text.replace("\\n", "\n").replace("\\r", "\r"),
        _ => text.to_owned(),
    }
}
