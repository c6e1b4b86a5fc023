//! The script in memory: its vocabulary, classes, keywords, rules and replies.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::decompose::{Needs, Piece};
use super::marks::plain;
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

/// Stands for all words the script does not know.
pub(super) static UNKNOWN: Word = Word {
    place: 0,
    spelling: "",
    keys: Vec::new(),
    classes: 0,
    instead: Vec::new(),
};

/// The most bytes that a word of the script may have.
pub(super) const LONGEST_WORD: usize = 16;

/// A word the script knows.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// Its place in [`Script::words`].
    pub(super) place: usize,
    /// Its spelling, in lower case; empty for the unknown word.
    pub(super) spelling: &'static str,
    /// The keywords it stands for, as places in [`Script::keys`].
    pub(super) keys: Vec<usize>,
    /// One bit for each class the word belongs to.
    pub(super) classes: u64,
    /// The words that take its place before anything else looks at it.
    pub(super) instead: Vec<usize>,
}

impl Word {
    /// Whether the word belongs to (one of) the class(es).
    pub(super) fn is(&self, class: u64) -> bool {
        self.classes & class != 0
    }

    /// Whether the script knows the word.
    pub(super) fn is_known(&self) -> bool {
        self.place != UNKNOWN.place
    }

    /// One bit of 64, which the word shares with few others.
    pub(super) fn bit(&self) -> u64 {
        1 << (self.place % 64)
    }
}

/// A spelling of no more bytes than a word of the script may have. As a number it is hashed and
/// compared at once; every word of a conversation is looked up at each replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Spelling(u128);

impl Spelling {
    /// A word, whose letters from A to Z may be capitals; `None` for one that is too long.
    pub(super) fn of(word: &str) -> Option<Self> {
        let mut bytes = [0; LONGEST_WORD];
        bytes
            .get_mut(..word.len())?
            .copy_from_slice(word.as_bytes());
        bytes.make_ascii_lowercase();
        Some(Self(u128::from_le_bytes(bytes)))
    }

    /// The letters from A to Z and the digits that a text begins with, and how many they are;
    /// `None` where they are too many for a word.
    pub(super) fn at_start(text: &str) -> (Option<Self>, usize) {
        let mut bytes = [0; LONGEST_WORD];
        let mut length = 0;
        for byte in text.bytes().map(plain).take_while(|byte| *byte != 0) {
            if let Some(place) = bytes.get_mut(length) {
                *place = byte;
            }
            length += 1;
        }
        let fits = length <= LONGEST_WORD;
        (fits.then_some(Self(u128::from_le_bytes(bytes))), length)
    }
}

/// What a rule does once its pattern has matched.
pub(super) enum Reply {
    /// Say this text, its `$` marks filled in.
    Say(&'static str),
    /// Say this text, which has the user's name in it.
    SayByName(&'static str),
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
    pub(super) needs: Needs,
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
    /// Words before which a clause may end: subjects, and those that begin one of their own.
    pub(super) ends: u64,
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
    /// The place of the word "my".
    pub(super) mine: usize,
}

/// A script, ready for use.
#[derive(Default)]
pub(super) struct Script {
    pub(super) words: Vec<Word>,
    pub(super) vocabulary: HashMap<Spelling, usize>,
    pub(super) keys: Vec<Key>,
    /// Keywords by the first word of their heading, for links.
    pub(super) headings: HashMap<&'static str, usize>,
    pub(super) rules: usize,
    /// The length in bytes of the longest word known.
    pub(super) longest: usize,
    pub(super) grammar: Grammar,
}

impl Script {
    /// The word at that place.
    pub(super) fn word(&self, place: usize) -> &Word {
        self.words.get(place).unwrap_or(&UNKNOWN)
    }

    /// The word of a spelling, in any case but for letters beyond Z.
    pub(super) fn find(&self, word: &str) -> &Word {
        self.spelt(Spelling::of(word))
    }

    /// The same; a word that is too long for a spelling is not known.
    pub(super) fn spelt(&self, spelling: Option<Spelling>) -> &Word {
        let place = spelling.and_then(|spelling| self.vocabulary.get(&spelling));
        place.map_or(&UNKNOWN, |place| self.word(*place))
    }

    /// The keyword of that heading.
    pub(super) fn heading(&self, name: &str) -> Option<&Key> {
        self.keys.get(*self.headings.get(name)?)
    }
}

/// The script, read once. A script that does not parse would leave an empty one, which still
/// answers; a test keeps that from happening.
pub(super) fn script() -> &'static Script {
    static SCRIPT: LazyLock<Script> = LazyLock::new(|| parse::parse(SOURCES).unwrap_or_default());
    &SCRIPT
}
