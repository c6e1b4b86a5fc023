//! A statement as words in clauses.

use std::ops::Range;

use super::marks::{is_gap, is_letter, is_mark, parts, unwrap};
use super::script::{Script, UNKNOWN};

/// A clause is cut after so many words at the next word that joins clauses, and at the latest
/// after so many, so that a text without punctuation costs no more than one with it.
const LONG_CLAUSE: usize = 60;
const LONGEST_CLAUSE: usize = 120;

/// A word of a statement.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    /// As the user wrote it, without the punctuation around it.
    pub(super) text: &'a str,
    /// Its place in the script's vocabulary.
    pub(super) word: usize,
    /// Whether a sentence starts with it, so that its capital may mean nothing.
    pub(super) opens: bool,
}

/// A stretch of a statement between two marks.
#[derive(Clone)]
pub(super) struct Clause {
    pub(super) range: Range<usize>,
    /// Whether a question mark ends it.
    pub(super) asked: bool,
}

/// A statement, cut into words and clauses.
#[derive(Default)]
pub(super) struct Text<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) clauses: Vec<Clause>,
    /// The word being looked up, in lower case.
    key: String,
}

impl<'a> Text<'a> {
    /// Cuts up a statement, which takes the place of the one before it: a replay reads many, and
    /// the space for one serves them all.
    pub(super) fn read(&mut self, script: &'static Script, statement: &'a str) {
        self.tokens.clear();
        self.clauses.clear();
        let mut cutter = Cutter {
            script,
            text: self,
            start: 0,
            opens: true,
        };
        let mut start = 0;
        let mut plain = true;
        for (at, c) in statement.char_indices() {
            if c.is_ascii_alphanumeric() {
                continue;
            }
            if !is_gap(c) {
                plain = false;
                continue;
            }
            cutter.piece(statement.get(start..at).unwrap_or_default(), plain);
            if matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}') {
                cutter.mark('.');
            }
            start = at + c.len_utf8();
            plain = true;
        }
        cutter.piece(statement.get(start..).unwrap_or_default(), plain);
        cutter.mark('.');
    }

    /// The words of a clause.
    pub(super) fn words(&self, clause: &Clause) -> &[Token<'a>] {
        self.tokens.get(clause.range.clone()).unwrap_or_default()
    }
}

struct Cutter<'t, 'a> {
    script: &'static Script,
    text: &'t mut Text<'a>,
    /// Where the present clause starts.
    start: usize,
    /// Whether a sentence starts with the next word.
    opens: bool,
}

impl<'a> Cutter<'_, 'a> {
    /// Takes in what stands between two blanks.
    fn piece(&mut self, piece: &'a str, plain: bool) {
        if plain {
            // Most words by far: nothing around them to take off, and no case but A to Z.
            if !piece.is_empty() {
                self.known(piece, piece);
            }
            return;
        }
        // An address keeps its marks, except a last one.
        let whole = piece.starts_with(is_letter) && (piece.contains("://") || piece.contains('@'));
        let mut start = 0;
        let mut before = None;
        let mut rest = piece.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let after = rest.peek().map(|(_, c)| *c);
            if is_mark(c) && (!whole || after.is_none()) && parts(before, c, after) {
                if start < at {
                    self.word(piece.get(start..at).unwrap_or_default());
                }
                self.stop(c);
                start = at + c.len_utf8();
            }
            before = Some(c);
        }
        self.word(piece.get(start..).unwrap_or_default());
    }

    /// Takes in the mark after a word, unless it is the point after a title.
    fn stop(&mut self, mark: char) {
        let word = self.text.tokens.last().map_or(UNKNOWN, |token| token.word);
        if mark != '.' || !self.script.is(word, self.script.grammar.title) {
            self.mark(mark);
        }
    }

    fn word(&mut self, written: &'a str) {
        if !written.is_empty() && written.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return self.known(written, written);
        }
        let text = unwrap(written);
        // What is left of ASCII punctuation alone (a dash, an arrow) says nothing.
        if !text.chars().any(|c| !c.is_ascii() || c.is_alphanumeric()) {
            return;
        }
        let bare = text.trim_matches(|c| !is_letter(c));
        self.known(text, if bare.is_empty() { text } else { bare });
    }

    /// Adds a word that is looked up by what is left of it without an emoji or a bracket stuck
    /// to it.
    fn known(&mut self, text: &'a str, bare: &str) {
        let word = self.look_up(bare);
        let script = self.script;
        match script.words.get(word).map(|entry| &entry.instead) {
            Some(instead) if !instead.is_empty() => {
                for word in instead {
                    self.push(script.spelling(*word), *word);
                }
            }
            _ => self.push(text, word),
        }
    }

    /// The place in the vocabulary of a word in any case, with either apostrophe.
    fn look_up(&mut self, word: &str) -> usize {
        // No word known comes near this, and long ones are not worth the reading.
        if word.len() > self.script.longest + 8 {
            return UNKNOWN;
        }
        let key = &mut self.text.key;
        key.clear();
        if word.is_ascii() {
            key.push_str(word);
            key.make_ascii_lowercase();
        } else {
            for c in word.chars() {
                match c {
                    '’' => key.push('\''),
                    '\u{fe0f}' => {}
                    _ if is_letter(c) => key.extend(c.to_lowercase()),
                    _ => key.push(c),
                }
            }
        }
        self.script.find(key)
    }

    fn push(&mut self, text: &'a str, word: usize) {
        let grammar = &self.script.grammar;
        let is = |word, class| self.script.is(word, class);
        let length = self.text.tokens.len() - self.start;
        let before = |back: usize| {
            let place = self.text.tokens.len().checked_sub(back);
            let token = place.and_then(|place| self.text.tokens.get(place));
            token.map_or(UNKNOWN, |token| token.word)
        };
        let joined = length > 3
            && is(word, grammar.subject)
            && is(before(1), grammar.joins)
            && !is(before(2), grammar.subject);
        if joined {
            // The joining word goes to the clause it opens.
            self.end(self.text.tokens.len() - 1, false);
        } else if length > 0 && is(word, grammar.breaks)
            || length >= LONG_CLAUSE && is(word, grammar.joins)
            || length >= LONGEST_CLAUSE
        {
            self.end(self.text.tokens.len(), false);
        }
        self.text.tokens.push(Token {
            text,
            word,
            opens: self.opens,
        });
        self.opens = false;
    }

    fn mark(&mut self, mark: char) {
        let asked = matches!(mark, '?' | '？' | '؟');
        self.end(self.text.tokens.len(), asked);
        self.opens |= !matches!(
            mark,
            ',' | ':' | ';' | '、' | '，' | '；' | '：' | '،' | '؛'
        );
    }

    /// Ends the present clause before that word.
    fn end(&mut self, end: usize, asked: bool) {
        if self.start == end {
            // The second of two marks, as in `What!?`.
            if let Some(clause) = self.text.clauses.last_mut()
                && clause.range.end == end
            {
                clause.asked |= asked;
            }
            return;
        }
        let mut start = self.start;
        while start + 1 < end
            && self
                .text
                .tokens
                .get(start)
                .is_some_and(|t| self.script.is(t.word, self.script.grammar.lead))
        {
            start += 1;
        }
        self.text.clauses.push(Clause {
            range: start..end,
            asked,
        });
        self.start = end;
    }
}
