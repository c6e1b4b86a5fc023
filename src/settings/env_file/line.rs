//! White space, and the part of a line before its value.

/// Whether JavaScript takes a character for white space within a line.
pub(super) fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\t' | '\u{B}' | '\u{C}' | ' ' | '\u{A0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' | '\u{FEFF}'
    )
}

/// Whether a character ends a line in JavaScript, but not in a text editor.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// The part of a line before its value.
pub(super) enum Head<'a> {
    /// `NAME=` and the text after it.
    Assignment(&'a str, &'a str),
    /// `NAME:`.
    Colon(&'a str),
    Other,
}

/// Parses the beginning of a line without leading blanks.
pub(super) fn head(line: &str) -> Head<'_> {
    let exported = line.strip_prefix("export");
    match exported.filter(|rest| rest.starts_with(is_blank)) {
        // `export` may be a name too.
        Some(rest) => match named(rest.trim_start_matches(is_blank)) {
            Head::Other => named(line),
            head => head,
        },
        None => named(line),
    }
}

fn named(line: &str) -> Head<'_> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let rest = line.trim_start_matches(is_name);
    let name = &line[..line.len() - rest.len()];
    if name.is_empty() {
        return Head::Other;
    }
    if let Some(value) = rest.trim_start_matches(is_blank).strip_prefix('=') {
        return Head::Assignment(name, value);
    }
    match rest.strip_prefix(':') {
        Some(rest) if rest.is_empty() || rest.starts_with(is_blank) => Head::Colon(name),
        _ => Head::Other,
    }
}

/// Returns the name that a line assigns.
pub(super) fn assigned(line: &str) -> Option<&str> {
    match head(line.trim_start_matches(is_blank)) {
        Head::Assignment(name, _) => Some(name),
        Head::Colon(_) | Head::Other => None,
    }
}
