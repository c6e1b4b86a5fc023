//! The engine: which keyword answers a statement, and what is carried from one to the next.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::assemble::{assemble, name, part};
use super::decompose::{Parts, decompose};
use super::marks::{is_gap, is_letter};
use super::script::{Key, Reply, Rule, Script};
use super::text::{Clause, Text};

/// How many keywords of a statement are tried before it counts as having none.
const MOST_TRIED: usize = 32;

/// How many links are followed from one keyword to another.
const MOST_LINKS: usize = 4;

/// How many earlier statements the memory holds; the oldest is forgotten first.
const MOST_REMEMBERED: usize = 8;

/// Keywords of at least this rank are about harm, and what was said of that is never brought
/// up again unasked.
const GRAVE: u32 = 70;

/// A statement of no more than this many bytes is asked about as a whole.
const SHORT: usize = 40;

/// The state of one conversation.
pub(super) struct Engine {
    script: &'static Script,
    /// Which reply of each rule is due.
    due: Vec<u8>,
    memory: VecDeque<String>,
    name: Option<String>,
    /// Whether the latest answer came from memory.
    recalled: bool,
    /// How many clauses were searched for keywords, and which of them had each keyword last.
    clauses: usize,
    seen: Vec<usize>,
    /// The keywords to try; kept to save allocations.
    candidates: Vec<(&'static Key, usize)>,
}

/// An answer, put into words only if it is wanted.
pub(super) enum Answer {
    Ready(String),
    /// A template, and the parts of a clause to fill it with.
    Template(&'static str, Clause, Parts),
}

impl Engine {
    pub(super) fn new(script: &'static Script) -> Self {
        Self {
            script,
            due: vec![0; script.rules],
            memory: VecDeque::new(),
            name: None,
            recalled: false,
            clauses: 0,
            seen: vec![0; script.keys.len()],
            candidates: Vec::new(),
        }
    }

    /// Takes in a statement and settles its answer.
    pub(super) fn hear(&mut self, statement: &str, text: &Text<'_>) -> Answer {
        let recalled = std::mem::take(&mut self.recalled);
        if let Some((rank, answer)) = self.by_keyword(text) {
            if rank < GRAVE {
                self.remember(text);
            }
            return answer;
        }
        if !recalled
            && has_words(statement)
            && let Some(reply) = self.memory.pop_front()
        {
            self.recalled = true;
            return Answer::Ready(reply);
        }
        self.otherwise(statement, text)
            .unwrap_or_else(|| Answer::Ready("Please go on.".to_owned()))
    }

    /// Puts an answer into words.
    pub(super) fn say(&self, text: &Text<'_>, answer: Answer) -> String {
        match answer {
            Answer::Ready(reply) => reply,
            Answer::Template(template, clause, parts) => {
                let words = text.words(&clause);
                let part = |number| {
                    let range = parts.range(number).unwrap_or_default();
                    part(self.script, words, range)
                };
                assemble(template, part, self.name.as_deref())
            }
        }
    }

    /// The answer of the best keyword that has a rule for its clause, and the keyword's rank.
    fn by_keyword(&mut self, text: &Text<'_>) -> Option<(u32, Answer)> {
        let script = self.script;
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        // Once there are enough, only a higher rank is worth noting.
        let mut least = None;
        for (at, clause) in text.clauses.iter().enumerate() {
            self.clauses += 1;
            for token in text.words(clause) {
                for place in &token.word.keys {
                    if let Some(key) = script.keys.get(*place)
                        && let Some(seen) = self.seen.get_mut(*place)
                        // Once in a clause is enough.
                        && *seen != self.clauses
                        && least.is_none_or(|least| key.rank > least)
                    {
                        *seen = self.clauses;
                        candidates.push((key, at));
                    }
                }
            }
            if candidates.len() > 2 * MOST_TRIED {
                best(&mut candidates);
                least = candidates.last().map(|(key, _)| key.rank);
            }
        }
        best(&mut candidates);
        let found = candidates.iter().find_map(|(key, at)| {
            let answer = self.apply(&key.rules, text, text.clauses.get(*at)?, MOST_LINKS)?;
            Some((key.rank, answer))
        });
        self.candidates = candidates;
        found
    }

    /// The next reply of the first rule that fits the clause.
    fn apply(
        &mut self,
        rules: &'static [Rule],
        text: &Text<'_>,
        clause: &Clause,
        links: usize,
    ) -> Option<Answer> {
        let words = text.words(clause);
        for rule in rules {
            if !rule.needs.may_be_met(clause.brief)
                || rule.asked && !clause.asked
                || rule.named && self.name.is_none()
            {
                continue;
            }
            let Some(parts) = decompose(&rule.pattern, words) else {
                continue;
            };
            if let Some(part) = rule.name_part {
                let said = parts.range(part).and_then(|range| words.get(range));
                let Some(name) = said.and_then(|words| name(self.script, words)) else {
                    continue;
                };
                self.name = Some(name);
            }
            return match self.next_reply(rule)? {
                Reply::Say(template) | Reply::SayByName(template) => {
                    Some(Answer::Template(template, clause.clone(), parts))
                }
                Reply::Next => None,
                Reply::Link(heading) => {
                    let key = self.script.heading(heading)?;
                    self.apply(&key.rules, text, clause, links.checked_sub(1)?)
                }
            };
        }
        None
    }

    /// The rule's replies come in turn; those with the user's name, only once it is known.
    fn next_reply(&mut self, rule: &'static Rule) -> Option<&'static Reply> {
        let due = self.due.get_mut(rule.number)?;
        for _ in &rule.replies {
            let at = usize::from(*due);
            *due += 1;
            if usize::from(*due) == rule.replies.len() {
                *due = 0;
            }
            match rule.replies.get(at)? {
                Reply::SayByName(_) if self.name.is_none() => {}
                reply => return Some(reply),
            }
        }
        None
    }

    /// Puts away what the statement says of the user's own, for a time without keywords.
    fn remember(&mut self, text: &Text<'_>) {
        let mine = self.script.word(self.script.grammar.mine);
        let own = |clause: &&Clause| {
            let mut words = text.words(clause).iter();
            clause.brief.may_have(mine) && words.any(|token| token.word.place == mine.place)
        };
        for clause in text.clauses.iter().filter(own).take(4) {
            let Some(key) = self.script.heading("<memory>") else {
                return;
            };
            if let Some(answer) = self.apply(&key.rules, text, clause, MOST_LINKS) {
                let reply = self.say(text, answer);
                if !self.memory.contains(&reply) {
                    self.memory.push_back(reply);
                }
                if self.memory.len() > MOST_REMEMBERED {
                    self.memory.pop_front();
                }
                return;
            }
        }
    }

    /// The answer to a statement that has no keyword.
    fn otherwise(&mut self, statement: &str, text: &Text<'_>) -> Option<Answer> {
        let asked = text.clauses.iter().any(|clause| clause.asked);
        let heading = if statement.chars().all(is_gap) {
            "<silence>"
        } else if !statement.chars().any(is_letter) {
            "<wordless>"
        } else if !statement.chars().any(|c| is_letter(c) && !c.is_numeric()) {
            "<number>"
        } else if !has_words(statement) {
            "<foreign>"
        } else if asked {
            "<question>"
        } else if statement.len() <= SHORT && text.tokens.len() <= 2 {
            "<short>"
        } else {
            "<none>"
        };
        let key = self.script.heading(heading)?;
        let whole = text.clause(0..text.tokens.len(), asked);
        self.apply(&key.rules, text, &whole, MOST_LINKS)
    }
}

/// Leaves the keywords to try, the highest ranks first and, within a rank, the first said.
fn best(candidates: &mut Vec<(&'static Key, usize)>) {
    candidates.sort_by_key(|(key, _)| Reverse(key.rank));
    candidates.truncate(MOST_TRIED);
}

/// Whether there is a letter of the Latin alphabet, without which it cannot be English.
fn has_words(statement: &str) -> bool {
    statement
        .chars()
        .any(|c| c < '\u{250}' && c.is_alphabetic())
}
