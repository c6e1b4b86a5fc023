//! The reader of the script's plain text form.
//!
//! A line is one of these; blank lines and lines that begin with `#` are passed over:
//!
//! ```text
//! sub dont = don't              a word replaced before anything else looks at it
//! class pet = dog cat           a class of words, `@pet` in patterns and headings
//! [mother @pet] 15              a keyword heading: its words and its rank
//! ? * my @pet {is was} + ?      a pattern: a final `?` asks for a question mark, a first
//!                               `$name` for a known name; the pieces are in `decompose`
//! ! 5                           the fifth part of the pattern is the user's name
//! - How old is your $3?         a reply: `$3` is the third part, `$name` the user's name
//! - => hello                    a link to the keyword headed by `hello`; `=> next` gives up
//! ```

use std::collections::HashMap;

use super::decompose::{MOST_PIECES, Needs, Piece};
use super::script::{Grammar, Key, Reply, Rule, Script, Spelling, Word};

/// Reads the named sources as one script; the error names the line.
pub(super) fn parse(sources: &[(&str, &'static str)]) -> Result<Script, String> {
    let mut reader = Reader::default();
    // The unknown word takes the first place.
    reader.script.words.push(Word::default());
    for (name, source) in sources {
        for (at, line) in source.lines().enumerate() {
            if reader.line(line.trim()).is_none() {
                return Err(format!("{name}:{}: {line}", at + 1));
            }
        }
    }
    let mine = reader.script.find("my").place;
    let class = |name| reader.classes.get(name).copied().unwrap_or(0);
    reader.script.grammar = Grammar {
        lead: class("lead"),
        breaks: class("breaks"),
        joins: class("joins"),
        subject: class("subject"),
        ends: class("breaks") | class("subject"),
        title: class("title"),
        proper: class("proper"),
        nameless: class("nameless"),
        particle: class("particle"),
        auxiliary: class("auxiliary"),
        verb: class("verb"),
        preposition: class("preposition"),
        adverb: class("adverb"),
        conjunction: class("conjunction"),
        mine,
    };
    Ok(reader.script)
}

#[derive(Default)]
struct Reader {
    script: Script,
    classes: HashMap<&'static str, u64>,
}

impl Reader {
    /// Takes in one line; `None` if it makes no sense.
    fn line(&mut self, line: &'static str) -> Option<()> {
        if line.is_empty() || line.starts_with('#') {
            return Some(());
        }
        if let Some(rest) = line.strip_prefix("sub ") {
            let (word, instead) = rest.split_once(" = ")?;
            let instead: Option<_> = instead.split(' ').map(|word| self.word(word)).collect();
            let instead = instead?;
            let word = self.word(word)?;
            self.script.words.get_mut(word)?.instead = instead;
            return Some(());
        }
        if let Some(rest) = line.strip_prefix("class ") {
            return self.class(rest);
        }
        if let Some(rest) = line.strip_prefix('[') {
            return self.key(rest);
        }
        if let Some(rest) = line.strip_prefix("? ") {
            return self.rule(rest);
        }
        let rule = self.script.keys.last_mut()?.rules.last_mut()?;
        if let Some(part) = line.strip_prefix("! ") {
            let part = part.parse().ok()?;
            rule.name_part = Some(part);
            return (1..=rule.pattern.len()).contains(&part).then_some(());
        }
        rule.replies.push(match line.strip_prefix("- ")? {
            "=> next" => Reply::Next,
            reply => match reply.strip_prefix("=> ") {
                Some(name) => Reply::Link(name),
                None if reply.contains("$name") => Reply::SayByName(reply),
                None => Reply::Say(reply),
            },
        });
        // The engine counts them in a byte.
        u8::try_from(rule.replies.len()).ok().map(|_| ())
    }

    /// The place of the word, which joins the vocabulary if it is new; `None` if it is too long.
    fn word(&mut self, spelling: &'static str) -> Option<usize> {
        let key = Spelling::of(spelling)?;
        if let Some(place) = self.script.vocabulary.get(&key) {
            return Some(*place);
        }
        let place = self.script.words.len();
        self.script.words.push(Word {
            place,
            spelling,
            ..Word::default()
        });
        self.script.vocabulary.insert(key, place);
        self.script.longest = self.script.longest.max(spelling.len());
        Some(place)
    }

    fn class(&mut self, rest: &'static str) -> Option<()> {
        let (name, members) = rest.split_once(" = ")?;
        let fresh = 1u64.checked_shl(u32::try_from(self.classes.len()).ok()?)?;
        // A class may go over several lines.
        let class = *self.classes.entry(name).or_insert(fresh);
        for member in members.split(' ') {
            let word = self.word(member)?;
            self.script.words.get_mut(word)?.classes |= class;
        }
        Some(())
    }

    fn key(&mut self, rest: &'static str) -> Option<()> {
        let (names, rank) = rest.split_once("] ")?;
        let rank = rank.parse().ok()?;
        let place = self.script.keys.len();
        self.script.keys.push(Key {
            rank,
            ..Key::default()
        });
        let first = names.split(' ').next()?;
        self.script.headings.entry(first).or_insert(place);
        for name in names.split(' ') {
            if name.starts_with('<') {
                // A heading for links alone, which no word of the user's can be.
                continue;
            }
            if let Some(class) = name.strip_prefix('@') {
                let class = *self.classes.get(class)?;
                for word in &mut self.script.words {
                    if word.classes & class != 0 {
                        word.keys.push(place);
                    }
                }
            } else {
                let word = self.word(name)?;
                self.script.words.get_mut(word)?.keys.push(place);
            }
        }
        Some(())
    }

    fn rule(&mut self, rest: &'static str) -> Option<()> {
        let mut rule = Rule {
            number: self.script.rules,
            ..Rule::default()
        };
        let rest = rest.strip_prefix("$name ").map_or(rest, |pattern| {
            rule.named = true;
            pattern
        });
        let rest = rest.strip_suffix(" ?").map_or(rest, |pattern| {
            rule.asked = true;
            pattern
        });
        let mut choice: Option<Vec<usize>> = None;
        for mark in rest.split(' ') {
            let (opens, mark) = mark.strip_prefix('{').map_or((false, mark), |m| (true, m));
            let (closes, mark) = mark.strip_suffix('}').map_or((false, mark), |m| (true, m));
            if opens {
                choice = Some(Vec::new());
            }
            if let Some(words) = &mut choice {
                words.push(self.word(mark)?);
                if closes {
                    rule.pattern.push(Piece::Either(choice.take()?));
                }
            } else {
                let piece = self.piece(mark)?;
                rule.pattern.push(piece);
            }
        }
        if choice.is_some() || rule.pattern.len() > MOST_PIECES {
            return None;
        }
        rule.needs = Needs::of(&rule.pattern, &self.script.words);
        self.script.rules += 1;
        self.script.keys.last_mut()?.rules.push(rule);
        Some(())
    }

    fn piece(&mut self, mark: &'static str) -> Option<Piece> {
        Some(match mark {
            "*" => Piece::Many(0),
            "+" => Piece::Many(1),
            "_" => Piece::One,
            "^" => Piece::Capitalised,
            "#" => Piece::Number,
            _ => {
                if let Some(class) = mark.strip_prefix('@') {
                    Piece::Class(*self.classes.get(class)?)
                } else if let Some(ending) = mark.strip_prefix('~') {
                    Piece::Ending(ending)
                } else {
                    Piece::Word(self.word(mark)?)
                }
            }
        })
    }
}
