//! Decomposition: whether a pattern fits a clause, and which words each of its pieces took.

use std::ops::Range;

use super::script::Word;
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
    fn fits(&self, token: &Token<'_>) -> bool {
        match self {
            Self::Many(_) | Self::One => true,
            Self::Capitalised => {
                let mut letters = token.text.chars();
                !token.word.is_known()
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
            Self::Word(word) => token.word.place == *word,
            Self::Either(words) => words.contains(&token.word.place),
            Self::Class(class) => token.word.is(*class),
        }
    }
}

/// Which words a clause has, in brief.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brief {
    /// The bits of its words.
    words: u64,
    /// The classes of its words.
    classes: u64,
    count: usize,
}

impl Brief {
    pub(super) fn of(clause: &[Token<'_>]) -> Self {
        let mut brief = Self {
            count: clause.len(),
            ..Self::default()
        };
        for token in clause {
            brief.words |= token.word.bit();
            brief.classes |= token.word.classes;
        }
        brief
    }

    /// Whether the clause may have the word. Where not, it has not.
    pub(super) fn may_have(self, word: &Word) -> bool {
        self.words & word.bit() != 0
    }
}

/// What a clause must have for a pattern to fit it. Most patterns that are tried do not fit, and
/// this tells so of nearly all of them at a glance.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The bits of the words that must all be there.
    words: u64,
    /// The bits of words of which one must be there; the same for each choice of words.
    either: Vec<u64>,
    /// The classes of which there must be a word each.
    classes: Vec<u64>,
    /// How many words it takes at least.
    least: usize,
}

impl Needs {
    pub(super) fn of(pattern: &[Piece], words: &[Word]) -> Self {
        let mut needs = Self::default();
        for piece in pattern {
            needs.least += match piece {
                Piece::Many(least) => *least,
                _ => 1,
            };
            let bit = |place: &usize| words.get(*place).map_or(u64::MAX, Word::bit);
            match piece {
                Piece::Word(word) => needs.words |= bit(word),
                Piece::Either(either) => match either.as_slice() {
                    [word] => needs.words |= bit(word),
                    words => {
                        let bits = words.iter().map(bit);
                        needs.either.push(bits.fold(0, |all, bit| all | bit));
                    }
                },
                Piece::Class(class) => needs.classes.push(*class),
                Piece::Many(_)
                | Piece::One
                | Piece::Capitalised
                | Piece::Number
                | Piece::Ending(_) => {}
            }
        }
        needs
    }

    /// Whether the pattern may fit a clause. Where not, it does not.
    pub(super) fn may_be_met(&self, clause: Brief) -> bool {
        self.words & !clause.words == 0
            && self.least <= clause.count
            && self.either.iter().all(|words| words & clause.words != 0)
            && self.classes.iter().all(|class| class & clause.classes != 0)
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
pub(super) fn decompose(pattern: &[Piece], clause: &[Token<'_>]) -> Option<Parts> {
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
            Some(one) if clause.get(at).is_some_and(|token| one.fits(token)) => {
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
