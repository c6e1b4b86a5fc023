//! The parts of a line: white space, and what stands before a value.

/// Whether a character is white space within a line, as JavaScript sees it.
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

/// What a line is up to its value.
pub(super) enum Head<'a> {
    /// `NAME=`, and what follows.
    Assignment(&'a str, &'a str),
    /// `NAME:`.
    Colon(&'a str),
    /// Something else.
    Other,
}

/// Reads the beginning of a line, leading blanks removed.
pub(super) fn head(line: &str) -> Head<'_> {
    let exported = line
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(is_blank))
        .map(|rest| named(rest.trim_start_matches(is_blank)));
    match exported {
        // `export` may be a name, too.
        None | Some(Head::Other) => named(line),
        Some(head) => head,
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

/// The name that a line gives a value, if it does.
pub(super) fn assigned(line: &str) -> Option<&str> {
    match head(line.trim_start_matches(is_blank)) {
        Head::Assignment(name, _) => Some(name),
        Head::Colon(_) | Head::Other => None,
    }
}
