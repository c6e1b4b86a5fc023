//! Decomposition: matches a pattern against a clause.

use std::ops::Range;

use super::script::{Element, MAX_ELEMENTS};
use super::text::Token;

impl Element {
    fn matches(&self, token: &Token<'_>) -> bool {
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
            Self::Words(words) => words.contains(&token.word.index),
            Self::Class(class) => token.word.is(*class),
        }
    }
}

/// Where each element of a pattern begins; an element ends where the next one begins.
#[derive(Clone, Copy, Default)]
pub(super) struct Captures {
    starts: [usize; MAX_ELEMENTS + 1],
    count: usize,
}

impl Captures {
    /// Returns the words of a part; the parts are counted from 1, as in the script.
    pub(super) fn range(&self, part: usize) -> Option<Range<usize>> {
        if part == 0 || part > self.count {
            return None;
        }
        Some(*self.starts.get(part - 1)?..*self.starts.get(part)?)
    }
}

/// Matches a pattern against a whole clause.
///
/// Every element but the wildcards takes exactly one word, so the leftmost match of the words
/// between two wildcards is as good as any later one. It is enough to backtrack to the latest
/// wildcard: the cost is at most the length of the clause times that of the pattern.
pub(super) fn decompose(pattern: &[Element], clause: &[Token<'_>]) -> Option<Captures> {
    let mut captures = Captures {
        count: pattern.len(),
        ..Captures::default()
    };
    let (mut next, mut at) = (0, 0);
    let mut latest: Option<(usize, usize)> = None;
    loop {
        *captures.starts.get_mut(next)? = at;
        match pattern.get(next) {
            None if at == clause.len() => return Some(captures),
            Some(Element::Many(least)) => {
                at += least;
                if at > clause.len() {
                    return None;
                }
                next += 1;
                if next == pattern.len() {
                    at = clause.len();
                }
                latest = Some((next, at));
                continue;
            }
            Some(one) if clause.get(at).is_some_and(|token| one.matches(token)) => {
                next += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        let (after, from) = latest?;
        if from >= clause.len() {
            return None;
        }
        (next, at) = (after, from + 1);
        latest = Some((next, at));
    }
}
