//! Which characters belong to words, and which separate or surround them.

/// Punctuation that separates clauses, in several scripts.
const MARKS: &str = ".,;:!?–—…。、，！？；：．؟،؛।॥｡";

/// Brackets and other punctuation around words, beside the quotation marks from ‘ to ‟ and the
/// brackets from 「 to 』.
const WRAPPING: &str = "\"'`()[]{}*~|\\«»¿¡‹›【】（）";

/// Returns whether the character must not reach a reply: blanks, control characters, and the
/// embeddings and overrides that would reverse the text after them.
pub(super) fn is_gap(c: char) -> bool {
    c <= ' '
        || matches!(
            c,
            '\u{7f}'..='\u{a0}'
                | '\u{1680}'
                | '\u{2000}'..='\u{200b}'
                | '\u{2028}'..='\u{202f}'
                | '\u{205f}'..='\u{2069}'
                | '\u{3000}'
                | '\u{feff}'
        )
}

/// Returns whether the character separates clauses.
pub(super) fn is_mark(c: char) -> bool {
    !c.is_ascii_alphanumeric() && MARKS.contains(c)
}

/// Returns whether the character, at the edge of a word, is punctuation around it.
fn is_wrapping(c: char) -> bool {
    !c.is_ascii_alphanumeric() && WRAPPING.contains(c) || matches!(c, '‘'..='‟' | '「'..='』')
}

/// Returns whether a mark between these characters separates words: `hi,there` is two words, but
/// `3.5`, `main.rs`, `1,000` and `std::fs` are one.
pub(super) fn separates(before: Option<char>, mark: char, after: Option<char>) -> bool {
    let Some(after) = after else { return true };
    // A mark before a word is punctuation, except for a point, as in `.net`.
    if before.is_none_or(|c| is_mark(c) || is_wrapping(c)) && mark != ':' {
        return mark != '.' || before.is_some() || !after.is_alphanumeric();
    }
    if !mark.is_ascii() {
        return !after.is_numeric() || !before.is_some_and(char::is_numeric);
    }
    if mark == ':' || before == Some(':') {
        return false;
    }
    is_mark(after)
        || is_wrapping(after) && !matches!(after, '(' | '[' | '{')
        || mark != '.' && before.is_some_and(char::is_alphabetic) && after.is_alphabetic()
}

/// Returns the word without the quotation marks and brackets around it.
pub(super) fn unwrap(written: &str) -> &str {
    let mut text = written.trim_start_matches(is_wrapping);
    let is_quoted = text.len() < written.len();
    let has = |bracket: char| text.contains(bracket);
    let (round, square, curly) = (has('('), has('['), has('{'));
    while let Some(last) = text.chars().next_back().filter(|c| is_wrapping(*c)) {
        let shorter = text.get(..text.len() - last.len_utf8()).unwrap_or_default();
        // `f(x)` and `parents'` keep theirs.
        let belongs = match last {
            ')' => round,
            ']' => square,
            '}' => curly,
            '\'' | '’' => !is_quoted && shorter.ends_with(['s', 'S']),
            _ => false,
        };
        if belongs {
            break;
        }
        text = shorter;
    }
    text
}

/// Returns whether the character is a letter or digit, of any script.
pub(super) fn is_letter(c: char) -> bool {
    match c {
        // The Unicode tables are slow for the symbols that are frequent in chats.
        '\u{2000}'..='\u{206f}'
        | '\u{2190}'..='\u{2bff}'
        | '\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}' => false,
        _ => c.is_alphanumeric(),
    }
}
