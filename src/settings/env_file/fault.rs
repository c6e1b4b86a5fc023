//! What is wrong with a line of a `.env` file.
//!
//! A line may be a secret, a broken one too. A fault therefore carries the line's number and name,
//! never its text.

use std::fmt;

/// A line that stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// The name that it gives a value, where it has one.
    pub(super) name: Option<String>,
}

/// What is wrong with a line. npm's `dotenv` would skip such a line, cut its value off, or read
/// something else than was meant, and say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It is not UTF-8.
    NotUtf8,
    /// It is neither an assignment nor a comment nor blank.
    NotAnAssignment,
    /// It has the form `NAME: VALUE`.
    Colon,
    /// Its value is not quoted and has a `#` that no white space precedes.
    HashInValue,
    /// A quote is opened and not closed.
    UnclosedQuote,
    /// A backslash stands before the quote that seems to close a value, and a later quote of the
    /// same kind could close it as well, beyond another assignment.
    UnclearEnd,
    /// Something other than a comment follows the closing quote.
    TextAfterQuote,
    /// U+2028 or U+2029 stands outside of quotes, where `dotenv` takes it for the end of the line
    /// in some places only.
    LineSeparator,
}

impl Fault {
    pub(super) fn new(line: usize, kind: FaultKind, name: Option<&str>) -> Self {
        let name = name.filter(|name| is_plain(name)).map(str::to_owned);
        Self { line, kind, name }
    }
}

/// Whether a name can be one of a variable. Others may be parts of a secret.
fn is_plain(name: &str) -> bool {
    let begins_with_letter = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins_with_letter && !name.contains('-')
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("NAME");
        let value = match &self.name {
            Some(name) => format!("the value of {name}"),
            None => "the value".to_owned(),
        };
        match self.kind {
            FaultKind::NotUtf8 => write!(f, "not UTF-8 text; save the file as UTF-8"),
            FaultKind::NotAnAssignment => write!(
                f,
                "expected NAME=VALUE with a name of letters, digits, _, - and ., or a comment that \
                 begins with #"
            ),
            FaultKind::Colon => write!(f, "a colon instead of =; write {name}=VALUE"),
            FaultKind::HashInValue => write!(
                f,
                "{value} has a # without a blank before it; put the value in quotes, as \
                 {name}='...', or a blank before a comment"
            ),
            FaultKind::UnclosedQuote => write!(
                f,
                "the quote that opens {value} is not closed; close it, or put a value that has a \
                 quote in it in quotes of another kind: '...', \"...\" or `...`"
            ),
            FaultKind::UnclearEnd => write!(
                f,
                "it is unclear where {value} ends, since a backslash stands before the quote at \
                 the end of a line; put the value in quotes of another kind: '...', \"...\" or \
                 `...`"
            ),
            FaultKind::TextAfterQuote => write!(
                f,
                "text follows the quote that closes {value}; put the whole value in quotes of a \
                 kind that it does not contain ('...', \"...\" or `...`), and # before a comment"
            ),
            FaultKind::LineSeparator => write!(
                f,
                "a Unicode line or paragraph separator (U+2028, U+2029) outside of quotes; remove \
                 it, or put the value in quotes, as {name}='...'"
            ),
        }
    }
}
