//! Splits a statement into words and clauses.

use std::ops::Range;

use super::marks::{is_gap, is_letter, is_mark, separates, unwrap};
use super::script::{MAX_WORD_BYTES, Script, UNKNOWN, Word};

/// After so many words, a clause ends at the next word that joins clauses; at `MAX_CLAUSE` it ends
/// anyway. So text without punctuation costs no more than text with it.
const LONG_CLAUSE: usize = 60;
const MAX_CLAUSE: usize = 120;

/// A word of a statement.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    /// As the user wrote it, without the punctuation around it.
    pub(super) text: &'a str,
    /// The script's word for it.
    pub(super) word: &'static Word,
    /// Whether it begins a sentence, so that its capital letter may mean nothing.
    pub(super) opens_sentence: bool,
}

/// A part of a statement between two marks.
#[derive(Clone)]
pub(super) struct Clause {
    /// The tokens.
    pub(super) range: Range<usize>,
    /// Whether a question mark ends it.
    pub(super) is_question: bool,
}

/// A statement, split into words and clauses.
#[derive(Default)]
pub(super) struct Statement<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) clauses: Vec<Clause>,
}

impl<'a> Statement<'a> {
    /// Splits a statement.
    pub(super) fn new(script: &'static Script, statement: &'a str) -> Self {
        let mut splitter = Splitter {
            script,
            text: Self::default(),
            start: 0,
            opens_sentence: true,
        };
        for piece in statement.split_inclusive(is_gap) {
            splitter.piece(piece.strip_suffix(is_gap).unwrap_or(piece));
            if piece.ends_with(['\n', '\r', '\u{2028}', '\u{2029}']) {
                splitter.mark('.');
            }
        }
        splitter.mark('.');
        splitter.text
    }

    /// Returns the words of a clause.
    pub(super) fn words(&self, clause: &Clause) -> &[Token<'a>] {
        self.tokens.get(clause.range.clone()).unwrap_or_default()
    }
}

struct Splitter<'a> {
    script: &'static Script,
    text: Statement<'a>,
    /// Where the current clause starts.
    start: usize,
    /// Whether the next word begins a sentence.
    opens_sentence: bool,
}

impl<'a> Splitter<'a> {
    /// Adds the text between two blanks.
    fn piece(&mut self, piece: &'a str) {
        // Addresses keep all marks but the last one.
        let is_address =
            piece.starts_with(is_letter) && (piece.contains("://") || piece.contains('@'));
        let mut start = 0;
        let mut before = None;
        let mut rest = piece.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let after = rest.peek().map(|(_, c)| *c);
            if is_mark(c) && (!is_address || after.is_none()) && separates(before, c, after) {
                self.written(piece.get(start..at).unwrap_or_default());
                let last = self.text.tokens.last();
                let is_title = last.is_some_and(|token| token.word.is(self.script.grammar.title));
                if c != '.' || !is_title {
                    self.mark(c);
                }
                start = at + c.len_utf8();
            }
            before = Some(c);
        }
        self.written(piece.get(start..).unwrap_or_default());
    }

    /// Adds a word with the punctuation around it.
    fn written(&mut self, written: &'a str) {
        let text = unwrap(written);
        // ASCII punctuation without letters (a dash, an arrow) means nothing.
        if !text.chars().any(|c| !c.is_ascii() || c.is_alphanumeric()) {
            return;
        }
        // An emoji or a bracket may be attached to it.
        let bare = text.trim_matches(|c| !is_letter(c));
        let word = self.look_up(if bare.is_empty() { text } else { bare });
        if word.replacement.is_empty() {
            return self.push(text, word);
        }
        for index in &word.replacement {
            let word = self.script.word(*index);
            self.push(word.spelling, word);
        }
    }

    /// Returns the script's word for a spelling in any case, with either apostrophe.
    fn look_up(&self, word: &str) -> &'static Word {
        // Too long to become a known word.
        if word.len() > MAX_WORD_BYTES + 8 {
            return &UNKNOWN;
        }
        let mut spelling = String::with_capacity(word.len());
        for c in word.chars() {
            match c {
                '’' => spelling.push('\''),
                '\u{fe0f}' => {}
                _ if is_letter(c) => spelling.extend(c.to_lowercase()),
                _ => spelling.push(c),
            }
        }
        self.script.find(&spelling)
    }

    fn push(&mut self, text: &'a str, word: &'static Word) {
        self.end_clause_before(word);
        self.text.tokens.push(Token {
            text,
            word,
            opens_sentence: self.opens_sentence,
        });
        self.opens_sentence = false;
    }

    /// Ends the current clause if the next word opens another.
    fn end_clause_before(&mut self, next: &Word) {
        let grammar = &self.script.grammar;
        let tokens = self.text.tokens.as_slice();
        let length = tokens.len() - self.start;
        let is_joined = length > 3
            && next.is(grammar.subject)
            && matches!(tokens, [.., before, last] if
                last.word.is(grammar.joins) && !before.word.is(grammar.subject));
        if is_joined {
            // The joining word belongs to the clause that it opens.
            self.end_clause(tokens.len() - 1, false);
        } else if length > 0
            && (next.is(grammar.breaks)
                || length >= LONG_CLAUSE && next.is(grammar.joins)
                || length >= MAX_CLAUSE)
        {
            self.end_clause(tokens.len(), false);
        }
    }

    /// Ends the current clause at a mark.
    fn mark(&mut self, mark: char) {
        let is_question = matches!(mark, '?' | '？' | '؟');
        self.end_clause(self.text.tokens.len(), is_question);
        self.opens_sentence |= !",:;、，；：،؛".contains(mark);
    }

    fn end_clause(&mut self, end: usize, is_question: bool) {
        if self.start == end {
            // The second of two marks, as in `What!?`.
            if let Some(clause) = self.text.clauses.last_mut()
                && clause.range.end == end
            {
                clause.is_question |= is_question;
            }
            return;
        }
        let mut start = self.start;
        while start + 1 < end
            && let Some(token) = self.text.tokens.get(start)
            && token.word.is(self.script.grammar.lead)
        {
            start += 1;
        }
        self.text.clauses.push(Clause {
            range: start..end,
            is_question,
        });
        self.start = end;
    }
}
