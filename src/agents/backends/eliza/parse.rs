//! Parses the script's text format.
//!
//! Each line is one of these; blank lines and lines that begin with `#` are ignored:
//!
//! ```text
//! sub dont = don't              a word that is replaced on input
//! class pet = dog cat           a class of words, `@pet` in patterns and headings
//! [mother @pet] 15              a keyword heading: its words and its rank
//! ? * my @pet {is was} + ?      a pattern (see `Element`); a final `?` requires a question mark,
//!                               a leading `$name` requires a known name
//! ! 5                           the fifth part of the pattern is the user's name
//! - How old is your $3?         a reply: `$3` is the third part, `$name` the user's name
//! - => hello                    a link to the keyword with the heading `hello`; `=> next` gives up
//! ```

use std::collections::HashMap;
use std::sync::LazyLock;

use super::script::{
    Element, Grammar, Keyword, MAX_ELEMENTS, MAX_WORD_BYTES, Reassembly, Rule, Script, Word,
};

/// The parts of the script. The words come first, since the others name their classes.
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

/// Returns the script, which is parsed once. An empty script would still answer; a test checks that
/// the real one parses.
pub(super) fn script() -> &'static Script {
    static SCRIPT: LazyLock<Script> = LazyLock::new(|| parse(SOURCES).unwrap_or_default());
    &SCRIPT
}

/// Parses named sources as one script. The error has the name, the line number and the line.
pub(super) fn parse(sources: &[(&str, &'static str)]) -> Result<Script, String> {
    let mut parser = Parser::default();
    // Index 0 is the unknown word.
    parser.script.words.push(Word::default());
    for (name, source) in sources {
        for (at, line) in source.lines().enumerate() {
            if parser.line(line.trim()).is_none() {
                return Err(format!("{name}:{}: {line}", at + 1));
            }
        }
    }
    let class = |name| parser.classes.get(name).copied().unwrap_or(0);
    parser.script.grammar = Grammar {
        lead: class("lead"),
        breaks: class("breaks"),
        joins: class("joins"),
        subject: class("subject"),
        title: class("title"),
        proper: class("proper"),
        nameless: class("nameless"),
        particle: class("particle"),
        auxiliary: class("auxiliary"),
        verb: class("verb"),
        preposition: class("preposition"),
        adverb: class("adverb"),
        conjunction: class("conjunction"),
        my: parser.script.find("my").index,
    };
    Ok(parser.script)
}

#[derive(Default)]
struct Parser {
    script: Script,
    classes: HashMap<&'static str, u64>,
}

impl Parser {
    /// Parses a line; `None` if it is invalid.
    fn line(&mut self, line: &'static str) -> Option<()> {
        if line.is_empty() || line.starts_with('#') {
            return Some(());
        }
        let (mark, rest) = line.split_once(' ')?;
        match mark {
            "sub" => self.replacement(rest),
            "class" => self.class(rest),
            "?" => self.rule(rest),
            "!" => {
                let rule = self.script.keywords.last_mut()?.rules.last_mut()?;
                let part = rest.parse().ok()?;
                rule.name_part = Some(part);
                (1..=rule.pattern.len()).contains(&part).then_some(())
            }
            "-" => {
                let rule = self.script.keywords.last_mut()?.rules.last_mut()?;
                rule.replies.push(match rest.strip_prefix("=> ") {
                    Some("next") => Reassembly::Next,
                    Some(name) => Reassembly::Link(name),
                    None => Reassembly::Say(rest),
                });
                // The engine counts the replies of a rule in a byte.
                u8::try_from(rule.replies.len()).ok().map(|_| ())
            }
            _ => self.keyword(line.strip_prefix('[')?),
        }
    }

    fn replacement(&mut self, rest: &'static str) -> Option<()> {
        let (word, replacement) = rest.split_once(" = ")?;
        let replacement: Option<_> = replacement.split(' ').map(|word| self.word(word)).collect();
        let word = self.word(word)?;
        self.script.words.get_mut(word)?.replacement = replacement?;
        Some(())
    }

    /// Returns the index of a word, which is added if it is new; `None` if it is too long.
    fn word(&mut self, spelling: &'static str) -> Option<usize> {
        if spelling.len() > MAX_WORD_BYTES {
            return None;
        }
        let next = self.script.words.len();
        let index = *self.script.vocabulary.entry(spelling).or_insert(next);
        if index == next {
            self.script.words.push(Word {
                index,
                spelling,
                ..Word::default()
            });
        }
        Some(index)
    }

    fn class(&mut self, rest: &'static str) -> Option<()> {
        let (name, members) = rest.split_once(" = ")?;
        let next = 1u64.checked_shl(u32::try_from(self.classes.len()).ok()?)?;
        // A class may have several lines.
        let class = *self.classes.entry(name).or_insert(next);
        for member in members.split(' ') {
            let word = self.word(member)?;
            self.script.words.get_mut(word)?.classes |= class;
        }
        Some(())
    }

    fn keyword(&mut self, rest: &'static str) -> Option<()> {
        let (names, rank) = rest.split_once("] ")?;
        let rank = rank.parse().ok()?;
        let index = self.script.keywords.len();
        self.script.keywords.push(Keyword {
            rank,
            ..Keyword::default()
        });
        let first = names.split(' ').next()?;
        self.script.headings.entry(first).or_insert(index);
        // `<name>` is a heading for links only.
        for name in names.split(' ').filter(|name| !name.starts_with('<')) {
            if let Some(class) = name.strip_prefix('@') {
                let class = *self.classes.get(class)?;
                let members = self.script.words.iter_mut().filter(|word| word.is(class));
                members.for_each(|word| word.keywords.push(index));
            } else {
                let word = self.word(name)?;
                self.script.words.get_mut(word)?.keywords.push(index);
            }
        }
        Some(())
    }

    fn rule(&mut self, rest: &'static str) -> Option<()> {
        let (needs_name, rest) = match rest.strip_prefix("$name ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (is_question, rest) = match rest.strip_suffix(" ?") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let mut pattern = Vec::new();
        let mut choice: Option<Vec<usize>> = None;
        for mark in rest.split(' ') {
            if mark.starts_with('{') {
                choice = Some(Vec::new());
            }
            let Some(words) = &mut choice else {
                pattern.push(self.element(mark)?);
                continue;
            };
            words.push(self.word(mark.trim_matches(['{', '}']))?);
            if mark.ends_with('}') {
                pattern.push(Element::Words(choice.take()?));
            }
        }
        if choice.is_some() || pattern.len() > MAX_ELEMENTS {
            return None;
        }
        let rule = Rule {
            number: self.script.rules,
            pattern,
            is_question,
            needs_name,
            ..Rule::default()
        };
        self.script.rules += 1;
        self.script.keywords.last_mut()?.rules.push(rule);
        Some(())
    }

    fn element(&mut self, mark: &'static str) -> Option<Element> {
        if let Some(class) = mark.strip_prefix('@') {
            return self.classes.get(class).copied().map(Element::Class);
        }
        if let Some(ending) = mark.strip_prefix('~') {
            return Some(Element::Ending(ending));
        }
        Some(match mark {
            "*" => Element::Many(0),
            "+" => Element::Many(1),
            "_" => Element::One,
            "^" => Element::Capitalised,
            "#" => Element::Number,
            word => Element::Words(vec![self.word(word)?]),
        })
    }
}
