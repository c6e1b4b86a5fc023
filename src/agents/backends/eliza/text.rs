//! A statement as words in clauses.

use std::ops::Range;

use super::decompose::Brief;
use super::marks::{is_gap, is_letter, is_mark, is_plain, parts, unwrap};
use super::script::{Script, Spelling, UNKNOWN, Word};

/// A clause is cut after so many words at the next word that joins clauses, and at the latest
/// after so many, so that a text without punctuation costs no more than one with it.
const LONG_CLAUSE: usize = 60;
const LONGEST_CLAUSE: usize = 120;

/// A word of a statement.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    /// As the user wrote it, without the punctuation around it.
    pub(super) text: &'a str,
    /// The word of the script that it is.
    pub(super) word: &'static Word,
    /// Whether a sentence starts with it, so that its capital may mean nothing.
    pub(super) opens: bool,
}

/// A stretch of a statement between two marks.
#[derive(Clone)]
pub(super) struct Clause {
    pub(super) range: Range<usize>,
    /// Whether a question mark ends it.
    pub(super) asked: bool,
    pub(super) brief: Brief,
}

/// A statement, cut into words and clauses.
#[derive(Default)]
pub(super) struct Text<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) clauses: Vec<Clause>,
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
        let mut rest = statement;
        while !rest.is_empty() {
            rest = cutter.next(rest);
        }
        cutter.mark('.');
    }

    /// A stretch of it as a clause.
    pub(super) fn clause(&self, range: Range<usize>, asked: bool) -> Clause {
        let words = self.tokens.get(range.clone()).unwrap_or_default();
        let brief = Brief::of(words);
        Clause {
            range,
            asked,
            brief,
        }
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
    /// Takes in what stands before the next blank; what comes after it is left.
    fn next(&mut self, text: &'a str) -> &'a str {
        let (spelling, plain) = Spelling::at_start(text);
        let (word, rest) = text.split_at(plain);
        // Most words by far: nothing around them to take off, and no case but A to Z.
        if let Some(rest) = rest.strip_prefix(' ') {
            if !word.is_empty() {
                self.known(word, self.script.spelt(spelling));
            }
            return rest;
        }
        let end = rest.find(is_gap).map_or(text.len(), |end| plain + end);
        let (piece, rest) = text.split_at(end);
        self.piece(piece);
        let mut rest = rest.chars();
        if let Some('\n' | '\r' | '\u{2028}' | '\u{2029}') = rest.next() {
            self.mark('.');
        }
        rest.as_str()
    }

    /// Takes in what stands between two blanks.
    fn piece(&mut self, piece: &'a str) {
        let word = piece.strip_suffix(is_mark).unwrap_or(piece);
        if !word.contains(is_mark) {
            // One mark at the most, which ends it.
            self.word(word);
            if let Some(mark) = piece.get(word.len()..).and_then(|mark| mark.chars().next()) {
                self.stop(mark);
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
        let title = |token: &Token<'_>| token.word.is(self.script.grammar.title);
        if mark != '.' || !self.text.tokens.last().is_some_and(title) {
            self.mark(mark);
        }
    }

    fn word(&mut self, written: &'a str) {
        if let (Some(first), Some(last)) = (written.bytes().next(), written.bytes().next_back())
            && is_plain(first)
            && is_plain(last)
        {
            // Nothing to take off.
            return self.known(written, self.look_up(written));
        }
        let text = unwrap(written);
        // What is left of ASCII punctuation alone (a dash, an arrow) says nothing.
        if !text.chars().any(|c| !c.is_ascii() || c.is_alphanumeric()) {
            return;
        }
        let bare = text.trim_matches(|c| !is_letter(c));
        // It may have an emoji or a bracket stuck to it.
        let bare = if bare.is_empty() { text } else { bare };
        self.known(text, self.look_up(bare));
    }

    /// Adds a word, or those that take its place.
    fn known(&mut self, text: &'a str, word: &'static Word) {
        if word.instead.is_empty() {
            return self.push(text, word);
        }
        for place in &word.instead {
            let word = self.script.word(*place);
            self.push(word.spelling, word);
        }
    }

    /// The word of a spelling in any case, with either apostrophe.
    fn look_up(&self, word: &str) -> &'static Word {
        if word.is_ascii() {
            return self.script.find(word);
        }
        // No word known comes near this, and long ones are not worth the reading.
        if word.len() > self.script.longest + 8 {
            return &UNKNOWN;
        }
        let mut key = String::with_capacity(word.len());
        for c in word.chars() {
            match c {
                '’' => key.push('\''),
                '\u{fe0f}' => {}
                _ if is_letter(c) => key.extend(c.to_lowercase()),
                _ => key.push(c),
            }
        }
        self.script.find(&key)
    }

    fn push(&mut self, text: &'a str, word: &'static Word) {
        let length = self.text.tokens.len() - self.start;
        if length > 0 && (length >= LONG_CLAUSE || word.is(self.script.grammar.ends)) {
            self.cut_before(word, length);
        }
        self.text.tokens.push(Token {
            text,
            word,
            opens: self.opens,
        });
        self.opens = false;
    }

    /// Ends the present clause, of that length, where the next word opens another.
    fn cut_before(&mut self, next: &Word, length: usize) {
        let grammar = &self.script.grammar;
        let tokens = self.text.tokens.as_slice();
        let joined = length > 3
            && next.is(grammar.subject)
            && matches!(tokens, [.., before, last] if
                last.word.is(grammar.joins) && !before.word.is(grammar.subject));
        if joined {
            // The joining word goes to the clause it opens.
            self.end(tokens.len() - 1, false);
        } else if next.is(grammar.breaks)
            || length >= LONG_CLAUSE && next.is(grammar.joins)
            || length >= LONGEST_CLAUSE
        {
            self.end(tokens.len(), false);
        }
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
                .is_some_and(|token| token.word.is(self.script.grammar.lead))
        {
            start += 1;
        }
        self.text.clauses.push(self.text.clause(start..end, asked));
        self.start = end;
    }
}
