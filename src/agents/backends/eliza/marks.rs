//! Which characters belong to words, and which part or surround them.

/// Whether nothing of the character should reach a reply: blanks, control characters, and the
/// embeddings and overrides that would turn round the text after them.
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

/// Whether the character parts clauses, in one script or another.
pub(super) fn is_mark(c: char) -> bool {
    matches!(
        c,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '–'
            | '—'
            | '…'
            | '。'
            | '、'
            | '，'
            | '！'
            | '？'
            | '；'
            | '：'
            | '．'
            | '؟'
            | '،'
            | '؛'
            | '।'
            | '॥'
            | '｡'
    )
}

/// Whether the character, at the edge of a word, belongs to the writing and not to the word.
fn is_wrapping(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '*' | '~' | '|' | '\\' | '«'
            | '»' | '¿' | '¡' | '‘'..='‟' | '‹' | '›' | '「'..='』' | '【' | '】' | '（' | '）'
    )
}

/// Whether a mark between these neighbours parts words: `hi,there` and `wait...` are two words
/// and one, but `3.5`, `main.rs`, `1,000` and `std::fs` stay whole.
pub(super) fn parts(before: Option<char>, mark: char, after: Option<char>) -> bool {
    let Some(after) = after else { return true };
    // One before a word belongs to the writing, except for a point, as in `.net`.
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

/// The word without the quotation marks and brackets of the text around it.
pub(super) fn unwrap(written: &str) -> &str {
    let mut text = written.trim_start_matches(is_wrapping);
    let quoted = text.len() < written.len();
    let opened = |bracket: char| text.contains(bracket);
    let (round, square, curly) = (opened('('), opened('['), opened('{'));
    while let Some(last) = text.chars().next_back().filter(|c| is_wrapping(*c)) {
        let shorter = text.get(..text.len() - last.len_utf8()).unwrap_or_default();
        // `f(x)` and `parents'` keep theirs.
        let belongs = match last {
            ')' => round,
            ']' => square,
            '}' => curly,
            '\'' | '’' => !quoted && shorter.ends_with(['s', 'S']),
            _ => false,
        };
        if belongs {
            break;
        }
        text = shorter;
    }
    text
}

/// Whether the character makes a word: a letter or a digit, of any script.
pub(super) fn is_letter(c: char) -> bool {
    match c {
        // The tables are slow for the symbols that chats are full of.
        '\u{2000}'..='\u{206f}'
        | '\u{2190}'..='\u{2bff}'
        | '\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}' => false,
        _ => c.is_alphanumeric(),
    }
}

/// The letters from A to Z, as small ones, and the digits; 0 for all else. A table, since every
/// byte of a conversation is looked at in each replay.
static PLAIN: [u8; 256] = {
    let mut plain = [0; 256];
    let mut byte = 0u8;
    while byte.is_ascii() {
        if byte.is_ascii_alphanumeric() {
            plain[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    plain
};

/// The byte where it is a small letter from a to z or a digit, the small letter of a capital, and
/// 0 for any other.
pub(super) fn plain(byte: u8) -> u8 {
    PLAIN[usize::from(byte)]
}

/// Whether the byte is a letter from A to Z or a digit.
pub(super) fn is_plain(byte: u8) -> bool {
    plain(byte) != 0
}
