//! What is wrong with the settings of a character file, and in which line.

use crate::json;

/// What is wrong with the settings, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The line of the file, from 1.
    pub(in crate::agents) line: usize,
    pub(in crate::agents) reason: String,
}

impl SettingsError {
    /// Returns an error at the beginning of `part`, a slice of the text `file`.
    pub(in crate::agents) fn at(file: &str, part: &str, reason: impl Into<String>) -> Self {
        Self {
            line: line_of(file, part),
            reason: reason.into(),
        }
    }

    /// Returns the error of parsing `part`, a slice of the text `file`.
    pub(in crate::agents) fn in_part(file: &str, part: &str, error: &serde_json::Error) -> Self {
        // Errors of types have no line; those of the syntax count lines from the part's beginning.
        let lines_before = error.line().saturating_sub(1);
        Self {
            line: line_of(file, part) + lines_before,
            reason: reason_of(error),
        }
    }
}

/// Returns the line of `file` in which `part`, a slice of it, begins.
pub(super) fn line_of(file: &str, part: &str) -> usize {
    let start = part.as_ptr().addr().saturating_sub(file.as_ptr().addr());
    let before = file.as_bytes().iter().take(start);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Returns the error without its position.
pub(super) fn reason_of(error: &serde_json::Error) -> String {
    let text = json::explain(error);
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}
