//! Decomposition: whether a pattern fits a clause, and which words each of its pieces took.

use std::ops::Range;

use super::script::{Script, UNKNOWN};
use super::text::Token;

/// The most pieces a pattern may have, so that a match needs no allocation.
pub(super) const MOST_PIECES: usize = 12;

/// A piece of a pattern.
pub(super) enum Piece {
    /// `*` or `+`: any number of words, at least so many; as few as will do.
    Many(usize),
    /// `_`: any one word.
    One,
    /// `^`: a capitalised word the script does not know, likely a name of some kind.
    Capitalised,
    /// `#`: a word that begins with a digit.
    Number,
    /// `~ing`: a longer word with that ending.
    Ending(&'static str),
    /// `word`: that word.
    Word(usize),
    /// `{these those}`: one of those words.
    Either(Vec<usize>),
    /// `@class`: a word of that class.
    Class(u64),
}

impl Piece {
    fn fits(&self, script: &Script, token: &Token<'_>) -> bool {
        match self {
            Self::Many(_) | Self::One => true,
            Self::Capitalised => {
                let mut letters = token.text.chars();
                token.word == UNKNOWN
                    && letters.next().is_some_and(char::is_uppercase)
                    && letters.next().is_none_or(char::is_lowercase)
            }
            Self::Number => token.text.starts_with(|c: char| c.is_ascii_digit()),
            Self::Ending(ending) => token
                .text
                .len()
                .checked_sub(ending.len())
                .filter(|stem| *stem > 2)
                .and_then(|stem| token.text.get(stem..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(ending)),
            Self::Word(word) => token.word == *word,
            Self::Either(words) => words.contains(&token.word),
            Self::Class(class) => script.is(token.word, *class),
        }
    }
}

/// Where each piece of a pattern begins; a piece ends where the next begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Parts {
    starts: [usize; MOST_PIECES + 1],
    count: usize,
}

impl Parts {
    /// The words of a part, counted from one as in the script.
    pub(super) fn range(&self, part: usize) -> Option<Range<usize>> {
        if part == 0 || part > self.count {
            return None;
        }
        Some(*self.starts.get(part - 1)?..*self.starts.get(part)?)
    }
}

/// Fits the pattern to the whole clause.
///
/// Every piece but the wildcards takes exactly one word, so the leftmost place for the words
/// between two wildcards is always as good as any later one, and it is enough to go back to the
/// latest wildcard: the work is at most the clause's length times the pattern's.
pub(super) fn decompose(script: &Script, pattern: &[Piece], clause: &[Token<'_>]) -> Option<Parts> {
    let mut parts = Parts {
        count: pattern.len(),
        ..Parts::default()
    };
    let (mut piece, mut at) = (0, 0);
    let mut latest: Option<(usize, usize)> = None;
    loop {
        *parts.starts.get_mut(piece)? = at;
        match pattern.get(piece) {
            None if at == clause.len() => return Some(parts),
            Some(Piece::Many(least)) => {
                at += least;
                if at > clause.len() {
                    return None;
                }
                piece += 1;
                if piece == pattern.len() {
                    at = clause.len();
                }
                latest = Some((piece, at));
                continue;
            }
            Some(one) if clause.get(at).is_some_and(|token| one.fits(script, token)) => {
                piece += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        let (after, from) = latest?;
        if from >= clause.len() {
            return None;
        }
        (piece, at) = (after, from + 1);
        latest = Some((piece, at));
    }
}
