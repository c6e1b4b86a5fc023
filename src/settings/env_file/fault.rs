//! A line of a `.env` file that stops the start.
//!
//! Any line may contain a secret, even a malformed one. A fault therefore has the number of the
//! line and a name, but never its text.

use std::fmt;

/// A line that stops the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFileFault {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// The name that the line assigns.
    pub(super) name: Option<String>,
}

/// What npm's `dotenv` would silently skip, cut off or misread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The line is not UTF-8.
    NotUtf8,
    /// It is not an assignment, a comment or blank.
    NotAnAssignment,
    /// It is `NAME: VALUE`.
    Colon,
    /// A value without quotes contains a `#` that does not follow white space.
    HashInValue,
    /// A quote is not closed.
    UnclosedQuote,
    /// A backslash precedes the quote that seems to close the value, and a later quote could close
    /// it too, after another assignment.
    UnclearEnd,
    /// Text other than a comment follows the closing quote.
    TextAfterQuote,
    /// U+2028 or U+2029 outside of quotes, which `dotenv` takes for a line end only in some places.
    LineSeparator,
}

impl EnvFileFault {
    pub(super) fn new(line: usize, kind: FaultKind, name: Option<&str>) -> Self {
        let name = name.filter(|name| is_variable(name)).map(str::to_owned);
        Self { line, kind, name }
    }
}

/// Whether this can be the name of a variable. Anything else may be part of a secret.
fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.contains('-')
}

impl fmt::Display for EnvFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("NAME");
        let value = match &self.name {
            Some(name) => format!("the value of {name}"),
            None => "the value".to_owned(),
        };
        let text = match self.kind {
            FaultKind::NotUtf8 => "not UTF-8 text; save the file as UTF-8",
            FaultKind::NotAnAssignment => {
                "expected NAME=VALUE with a name of letters, digits, _, - and ., or a comment that \
                 begins with #"
            }
            FaultKind::Colon => "a colon instead of =; write <name>=VALUE",
            FaultKind::HashInValue => {
                "<value> has a # without a blank before it; put the value in quotes, as \
                 <name>='...', or a blank before a comment"
            }
            FaultKind::UnclosedQuote => {
                "the quote that opens <value> is not closed; close it, or put a value that \
                 contains a quote in quotes of another kind: '...', \"...\" or `...`"
            }
            FaultKind::UnclearEnd => {
                "it is unclear where <value> ends, since a backslash precedes the quote at the end \
                 of a line; put the value in quotes of another kind: '...', \"...\" or `...`"
            }
            FaultKind::TextAfterQuote => {
                "text follows the quote that closes <value>; put the whole value in quotes of a \
                 kind that it does not contain ('...', \"...\" or `...`), and # before a comment"
            }
            FaultKind::LineSeparator => {
                "a Unicode line or paragraph separator (U+2028, U+2029) outside of quotes; remove \
                 it, or put the value in quotes, as <name>='...'"
            }
        };
        f.write_str(&text.replace("<value>", &value).replace("<name>", name))
    }
}
