//! The script in memory: vocabulary, word classes, keywords, rules and replies.

use std::collections::HashMap;

/// The maximum length of a word of the script, in bytes.
pub(super) const MAX_WORD_BYTES: usize = 16;

/// The maximum number of elements of a pattern. A match needs no allocation.
pub(super) const MAX_ELEMENTS: usize = 12;

/// Stands for all words that the script does not know.
pub(super) static UNKNOWN: Word = Word {
    index: 0,
    spelling: "",
    keywords: Vec::new(),
    classes: 0,
    replacement: Vec::new(),
};

/// A word that the script knows.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// Index in [`Script::words`].
    pub(super) index: usize,
    /// In lower case; empty for the unknown word.
    pub(super) spelling: &'static str,
    /// Indices in [`Script::keywords`].
    pub(super) keywords: Vec<usize>,
    /// One bit for each class of the word.
    pub(super) classes: u64,
    /// Indices of the words that replace this one on input.
    pub(super) replacement: Vec<usize>,
}

impl Word {
    /// Returns whether the word belongs to any of these classes.
    pub(super) fn is(&self, classes: u64) -> bool {
        self.classes & classes != 0
    }

    /// Returns whether the script knows the word.
    pub(super) fn is_known(&self) -> bool {
        self.index != UNKNOWN.index
    }
}

/// An element of a pattern.
pub(super) enum Element {
    /// `*` or `+`: at least this many words, as few as possible.
    Many(usize),
    /// `_`: any one word.
    One,
    /// `^`: a capitalised word that the script does not know, probably a proper name.
    Capitalised,
    /// `#`: a word that begins with a digit.
    Number,
    /// `~ing`: a longer word with this ending.
    Ending(&'static str),
    /// `word` or `{these those}`: one of these words.
    Words(Vec<usize>),
    /// `@class`: a word of this class.
    Class(u64),
}

/// What a rule does once its pattern has matched.
pub(super) enum Reassembly {
    /// Answers with this template.
    Say(&'static str),
    /// Applies the rules of another keyword to the same clause.
    Link(&'static str),
    /// Gives up this keyword and tries the next best one.
    Next,
}

/// A decomposition pattern and its replies.
#[derive(Default)]
pub(super) struct Rule {
    /// Index among all rules of the script; the engine counts the rule's uses under it.
    pub(super) number: usize,
    pub(super) pattern: Vec<Element>,
    /// Whether the clause must end with a question mark.
    pub(super) is_question: bool,
    /// Whether the user's name must be known.
    pub(super) needs_name: bool,
    /// The part that is the user's name, counted from 1.
    pub(super) name_part: Option<usize>,
    pub(super) replies: Vec<Reassembly>,
}

/// A keyword, or several that are treated alike, with their rules.
#[derive(Default)]
pub(super) struct Keyword {
    pub(super) rank: u32,
    pub(super) rules: Vec<Rule>,
}

/// The word classes that the code itself needs, as bits.
#[derive(Default)]
pub(super) struct Grammar {
    /// Words that may open a clause and add nothing to it.
    pub(super) lead: u64,
    /// Words that begin a new clause.
    pub(super) breaks: u64,
    /// Words that join two clauses if a subject follows.
    pub(super) joins: u64,
    pub(super) subject: u64,
    /// Titles, whose full stop does not end a sentence.
    pub(super) title: u64,
    /// Words that are capitalised everywhere.
    pub(super) proper: u64,
    /// Words that cannot begin a name.
    pub(super) nameless: u64,
    /// Words inside names that stay in lower case.
    pub(super) particle: u64,
    pub(super) auxiliary: u64,
    pub(super) verb: u64,
    pub(super) preposition: u64,
    pub(super) adverb: u64,
    pub(super) conjunction: u64,
    /// Index of the word "my".
    pub(super) my: usize,
}

/// A parsed script.
#[derive(Default)]
pub(super) struct Script {
    pub(super) words: Vec<Word>,
    /// Indices in `words` by spelling.
    pub(super) vocabulary: HashMap<&'static str, usize>,
    pub(super) keywords: Vec<Keyword>,
    /// Indices in `keywords` by the first word of the heading, for links.
    pub(super) headings: HashMap<&'static str, usize>,
    /// The number of rules.
    pub(super) rules: usize,
    pub(super) grammar: Grammar,
}

impl Script {
    pub(super) fn word(&self, index: usize) -> &Word {
        self.words.get(index).unwrap_or(&UNKNOWN)
    }

    /// Returns the word with this spelling, which is in lower case.
    pub(super) fn find(&self, spelling: &str) -> &Word {
        let index = self.vocabulary.get(spelling);
        index.map_or(&UNKNOWN, |index| self.word(*index))
    }

    /// Returns the keyword with this heading.
    pub(super) fn heading(&self, name: &str) -> Option<&Keyword> {
        self.keywords.get(*self.headings.get(name)?)
    }
}
