//! The engine: selects the keyword that answers a statement, and remembers earlier statements.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::assemble::{assemble, name, part};
use super::decompose::{Captures, decompose};
use super::marks::{is_gap, is_letter};
use super::script::{Keyword, Reassembly, Rule, Script};
use super::text::{Clause, Statement};

/// How many keywords of a statement are tried.
const MAX_TRIED: usize = 32;

/// How many links between keywords are followed.
const MAX_LINKS: usize = 4;

/// How many earlier statements are remembered; the oldest is forgotten first.
const MAX_REMEMBERED: usize = 8;

/// Keywords of at least this rank are about harm: their statements are never brought up again.
const GRAVE: u32 = 70;

/// A statement of at most this many bytes and two words counts as short.
const SHORT: usize = 40;

/// The state of one conversation.
pub(super) struct Engine {
    script: &'static Script,
    /// The index of each rule's next reply.
    next_replies: Vec<u8>,
    memory: VecDeque<String>,
    name: Option<String>,
    /// Whether the latest answer came from memory.
    has_recalled: bool,
}

/// An answer, which [`Engine::say`] puts into words.
pub(super) enum Response {
    Ready(String),
    /// A template, and the parts of a clause to fill it with.
    Template(&'static str, Clause, Captures),
}

impl Engine {
    pub(super) fn new(script: &'static Script) -> Self {
        Self {
            script,
            next_replies: vec![0; script.rules],
            memory: VecDeque::new(),
            name: None,
            has_recalled: false,
        }
    }

    /// Processes a statement and selects its answer.
    pub(super) fn hear(&mut self, statement: &str, text: &Statement<'_>) -> Response {
        let has_recalled = std::mem::take(&mut self.has_recalled);
        if let Some((rank, answer)) = self.by_keyword(text) {
            if rank < GRAVE {
                self.remember(text);
            }
            return answer;
        }
        if !has_recalled
            && has_words(statement)
            && let Some(reply) = self.memory.pop_front()
        {
            self.has_recalled = true;
            return Response::Ready(reply);
        }
        self.without_keyword(statement, text)
            .unwrap_or_else(|| Response::Ready("Please go on.".to_owned()))
    }

    /// Puts an answer into words.
    pub(super) fn say(&self, text: &Statement<'_>, answer: Response) -> String {
        match answer {
            Response::Ready(reply) => reply,
            Response::Template(template, clause, captures) => {
                let words = text.words(&clause);
                let part = |number| {
                    let range = captures.range(number).unwrap_or_default();
                    part(self.script, words, range)
                };
                assemble(template, part, self.name.as_deref())
            }
        }
    }

    /// Returns the answer of the best keyword that has a rule for its clause, with its rank. Of
    /// equal ranks, the first one said wins.
    fn by_keyword(&mut self, text: &Statement<'_>) -> Option<(u32, Response)> {
        let script = self.script;
        let mut candidates: Vec<(&Keyword, &Clause)> = Vec::new();
        for clause in &text.clauses {
            let first = candidates.len();
            let words = text.words(clause).iter();
            for index in words.flat_map(|token| &token.word.keywords) {
                let known = candidates.get(first..).unwrap_or_default();
                if let Some(keyword) = script.keywords.get(*index)
                    && !known.iter().any(|(known, _)| std::ptr::eq(*known, keyword))
                {
                    candidates.push((keyword, clause));
                }
            }
        }
        candidates.sort_by_key(|(keyword, _)| Reverse(keyword.rank));
        candidates.truncate(MAX_TRIED);
        candidates.into_iter().find_map(|(keyword, clause)| {
            let answer = self.apply(&keyword.rules, text, clause, MAX_LINKS)?;
            Some((keyword.rank, answer))
        })
    }

    /// Returns the next reply of the first rule that matches the clause.
    fn apply(
        &mut self,
        rules: &'static [Rule],
        text: &Statement<'_>,
        clause: &Clause,
        links: usize,
    ) -> Option<Response> {
        let words = text.words(clause);
        for rule in rules {
            if rule.is_question && !clause.is_question || rule.needs_name && self.name.is_none() {
                continue;
            }
            let Some(captures) = decompose(&rule.pattern, words) else {
                continue;
            };
            if let Some(part) = rule.name_part {
                let said = captures.range(part).and_then(|range| words.get(range));
                let Some(name) = said.and_then(|words| name(self.script, words)) else {
                    continue;
                };
                self.name = Some(name);
            }
            return match self.next_reply(rule)? {
                Reassembly::Say(template) => {
                    Some(Response::Template(template, clause.clone(), captures))
                }
                Reassembly::Next => None,
                Reassembly::Link(heading) => {
                    let keyword = self.script.heading(heading)?;
                    self.apply(&keyword.rules, text, clause, links.checked_sub(1)?)
                }
            };
        }
        None
    }

    /// Returns the rule's replies in turn; those with the user's name only once it is known.
    fn next_reply(&mut self, rule: &'static Rule) -> Option<&'static Reassembly> {
        let next = self.next_replies.get_mut(rule.number)?;
        for _ in &rule.replies {
            let reply = rule.replies.get(usize::from(*next))?;
            *next += 1;
            if usize::from(*next) == rule.replies.len() {
                *next = 0;
            }
            match reply {
                Reassembly::Say(template) if template.contains("$name") && self.name.is_none() => {}
                reply => return Some(reply),
            }
        }
        None
    }

    /// Remembers what the statement says about something of the user's.
    fn remember(&mut self, text: &Statement<'_>) {
        let my = self.script.grammar.my;
        let has_my = |clause: &&Clause| {
            let mut words = text.words(clause).iter();
            words.any(|token| token.word.index == my)
        };
        for clause in text.clauses.iter().filter(has_my).take(4) {
            let Some(keyword) = self.script.heading("<memory>") else {
                return;
            };
            if let Some(answer) = self.apply(&keyword.rules, text, clause, MAX_LINKS) {
                let reply = self.say(text, answer);
                if !self.memory.contains(&reply) {
                    self.memory.push_back(reply);
                }
                if self.memory.len() > MAX_REMEMBERED {
                    self.memory.pop_front();
                }
                return;
            }
        }
    }

    /// Returns the answer to a statement without a keyword.
    fn without_keyword(&mut self, statement: &str, text: &Statement<'_>) -> Option<Response> {
        let is_question = text.clauses.iter().any(|clause| clause.is_question);
        let heading = if statement.chars().all(is_gap) {
            "<silence>"
        } else if !statement.chars().any(is_letter) {
            "<wordless>"
        } else if !statement.chars().any(|c| is_letter(c) && !c.is_numeric()) {
            "<number>"
        } else if !has_words(statement) {
            "<foreign>"
        } else if is_question {
            "<question>"
        } else if statement.len() <= SHORT && text.tokens.len() <= 2 {
            "<short>"
        } else {
            "<none>"
        };
        let keyword = self.script.heading(heading)?;
        let whole = Clause {
            range: 0..text.tokens.len(),
            is_question,
        };
        self.apply(&keyword.rules, text, &whole, MAX_LINKS)
    }
}

/// Returns whether the statement has a Latin letter, without which it cannot be English.
fn has_words(statement: &str) -> bool {
    statement
        .chars()
        .any(|c| c < '\u{250}' && c.is_alphabetic())
}
