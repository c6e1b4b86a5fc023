//! The script in memory: its vocabulary, classes, keywords, rules and replies.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::decompose::Piece;
use super::parse;

/// The parts of the script; the words come first because the others name their classes.
pub(super) const SOURCES: &[(&str, &str)] = &[
    ("words", include_str!("script/words.txt")),
    ("care", include_str!("script/care.txt")),
    ("social", include_str!("script/social.txt")),
    ("banter", include_str!("script/banter.txt")),
    ("itself", include_str!("script/itself.txt")),
    ("feelings", include_str!("script/feelings.txt")),
    ("wanting", include_str!("script/wanting.txt")),
    ("people", include_str!("script/people.txt")),
    ("topics", include_str!("script/topics.txt")),
    ("leisure", include_str!("script/leisure.txt")),
    ("questions", include_str!("script/questions.txt")),
    ("common", include_str!("script/common.txt")),
    ("grammar", include_str!("script/grammar.txt")),
    ("otherwise", include_str!("script/otherwise.txt")),
];

/// The place in the vocabulary shared by all words the script does not know.
pub(super) const UNKNOWN: usize = 0;

/// A word the script knows.
#[derive(Default)]
pub(super) struct Word {
    /// Its spelling, in lower case; empty for the unknown word.
    pub(super) spelling: &'static str,
    /// The keywords it stands for, as places in [`Script::keys`].
    pub(super) keys: Vec<usize>,
    /// One bit for each class the word belongs to.
    pub(super) classes: u64,
    /// The words that take its place before anything else looks at it.
    pub(super) instead: Vec<usize>,
}

/// What a rule does once its pattern has matched.
pub(super) enum Reply {
    /// Say this text, its `$` marks filled in.
    Say(&'static str),
    /// Apply the rules of another keyword to the same clause.
    Link(&'static str),
    /// Give up this keyword and try the next best one.
    Next,
}

/// A decomposition pattern and its reassemblies.
#[derive(Default)]
pub(super) struct Rule {
    /// The rule's number in the whole script, under which its uses are counted.
    pub(super) number: usize,
    pub(super) pattern: Vec<Piece>,
    /// Whether the clause must be asked, with a question mark.
    pub(super) asked: bool,
    /// Whether the user's name must be known already.
    pub(super) named: bool,
    /// The part, counted from one, that holds the user's name.
    pub(super) name_part: Option<usize>,
    pub(super) replies: Vec<Reply>,
}

/// A keyword (or several that are treated alike) and its rules.
#[derive(Default)]
pub(super) struct Key {
    pub(super) rank: u32,
    pub(super) rules: Vec<Rule>,
}

/// The classes the engine itself asks for, as bits.
#[derive(Default)]
pub(super) struct Grammar {
    /// Words a clause may open with that add nothing to it.
    pub(super) lead: u64,
    /// Words that begin a clause of their own.
    pub(super) breaks: u64,
    /// Words that join two clauses if a subject follows.
    pub(super) joins: u64,
    pub(super) subject: u64,
    /// Titles whose full stop ends no sentence.
    pub(super) title: u64,
    /// Words that keep their capital letter anywhere.
    pub(super) proper: u64,
    /// Words that no name begins with.
    pub(super) nameless: u64,
    /// Small words inside names that stay in lower case.
    pub(super) particle: u64,
    pub(super) auxiliary: u64,
    pub(super) verb: u64,
    pub(super) preposition: u64,
    pub(super) adverb: u64,
    pub(super) conjunction: u64,
}

/// A script, ready for use.
#[derive(Default)]
pub(super) struct Script {
    pub(super) words: Vec<Word>,
    pub(super) vocabulary: HashMap<&'static str, usize, BuildHasherDefault<Fnv>>,
    pub(super) keys: Vec<Key>,
    /// Keywords by the first word of their heading, for links.
    pub(super) headings: HashMap<&'static str, usize>,
    pub(super) rules: usize,
    /// The length in bytes of the longest word known, beyond which none needs looking up.
    pub(super) longest: usize,
    pub(super) grammar: Grammar,
}

/// The hash of Fowler, Noll and Vo. Every word of a conversation is looked up at each replay,
/// and the standard hash, which also withstands hostile keys, takes several times as long; the
/// keys here are the script's.
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Script {
    /// The place of a word, given in lower case, in the vocabulary.
    pub(super) fn find(&self, word: &str) -> usize {
        self.vocabulary.get(word).copied().unwrap_or(UNKNOWN)
    }

    /// Whether the word belongs to (one of) the class(es).
    pub(super) fn is(&self, word: usize, class: u64) -> bool {
        self.words
            .get(word)
            .is_some_and(|entry| entry.classes & class != 0)
    }

    /// The word as the script spells it; empty for words it does not know.
    pub(super) fn spelling(&self, word: usize) -> &'static str {
        self.words.get(word).map_or("", |entry| entry.spelling)
    }

    /// The keyword of that heading.
    pub(super) fn heading(&self, name: &str) -> Option<(usize, &Key)> {
        let place = *self.headings.get(name)?;
        Some((place, self.keys.get(place)?))
    }
}

/// The script, read once. A script that does not parse would leave an empty one, which still
/// answers; a test keeps that from happening.
pub(super) fn script() -> &'static Script {
    static SCRIPT: LazyLock<Script> = LazyLock::new(|| parse::parse(SOURCES).unwrap_or_default());
    &SCRIPT
}
