//! Reasoning that a model writes into its text, between `<think>` and `</think>`.

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

/// Before a tag, this makes it a word of the text: `` `<think>` ``.
const QUOTE: char = '`';

/// Parts reasoning from text while both are coming. Only what may be the beginning of a tag is held
/// back.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    held: String,
    is_inside: bool,
    /// Whether there was an opening tag.
    was_opened: bool,
    after_quote: bool,
}

/// A part of what a model writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// For the user.
    Text(String),
    /// Reasoning.
    Thought(String),
    /// All text so far was reasoning: it is closed without having been opened, as by models whose
    /// template has the opening tag.
    WasThought,
}

impl Splitter {
    /// Takes what comes next.
    pub(super) fn push(&mut self, text: &str) -> Vec<Split> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        let mut from = 0;
        while let Some((at, tag)) = self.find_tag(from) {
            if self.is_quoted(at) {
                from = at + 1;
                continue;
            }
            self.split_off(at, &mut parts);
            self.held.drain(..tag.len());
            self.after_quote = false;
            from = 0;
            self.is_inside = tag == OPENING;
            if tag == CLOSING && !self.was_opened {
                parts.push(Split::WasThought);
            }
            self.was_opened = true;
        }
        let whole = self.held.len() - self.begun_tag();
        self.split_off(whole, &mut parts);
        parts
    }

    /// Takes the end: what was held back is no tag.
    pub(super) fn finish(&mut self) -> Vec<Split> {
        let mut parts = Vec::new();
        self.split_off(self.held.len(), &mut parts);
        parts
    }

    /// Moves what is held up to a place to the parts.
    fn split_off(&mut self, end: usize, parts: &mut Vec<Split>) {
        if end == 0 {
            return;
        }
        let rest = self.held.split_off(end);
        let part = std::mem::replace(&mut self.held, rest);
        self.after_quote = part.ends_with(QUOTE);
        parts.push(if self.is_inside {
            Split::Thought(part)
        } else {
            Split::Text(part)
        });
    }

    /// The next tag that counts here, and its place.
    fn find_tag(&self, from: usize) -> Option<(usize, &'static str)> {
        let held = self.held.get(from..)?;
        let places = self
            .tags()
            .filter_map(|tag| Some((held.find(tag)? + from, tag)));
        places.min()
    }

    fn tags(&self) -> impl Iterator<Item = &'static str> {
        let opens = !self.is_inside;
        let closes = self.is_inside || !self.was_opened;
        [(opens, OPENING), (closes, CLOSING)]
            .into_iter()
            .filter_map(|(counts, tag)| counts.then_some(tag))
    }

    fn is_quoted(&self, at: usize) -> bool {
        let is_after_quote = match at {
            0 => self.after_quote,
            _ => self.held[..at].ends_with(QUOTE),
        };
        is_after_quote && !self.is_inside
    }

    /// How many bytes at the end of what is held may be the beginning of a tag.
    fn begun_tag(&self) -> usize {
        let of_tag = |tag: &'static str| {
            let lengths = (1..tag.len()).rev();
            let mut lengths = lengths.filter(|length| self.held.ends_with(&tag[..*length]));
            lengths.next()
        };
        self.tags().filter_map(of_tag).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is said and what is thought of a text that comes in these pieces.
    fn split<'t>(pieces: impl IntoIterator<Item = &'t str>) -> (String, String) {
        let mut splitter = Splitter::default();
        let mut parts = Vec::new();
        for piece in pieces {
            parts.extend(splitter.push(piece));
        }
        parts.extend(splitter.finish());
        let (mut said, mut thought) = (String::new(), String::new());
        for part in parts {
            match part {
                Split::Text(text) => said.push_str(&text),
                Split::Thought(text) => thought.push_str(&text),
                Split::WasThought => thought.push_str(&std::mem::take(&mut said)),
            }
        }
        (said, thought)
    }

    const CASES: [(&str, &str, &str); 9] = [
        ("<think>hm</think>Yes.", "Yes.", "hm"),
        (
            "So <think>hm</think>yes<think>no</think>.",
            "So yes.",
            "hmno",
        ),
        ("<think>a < b </thin </think>Yes.", "Yes.", "a < b </thin "),
        ("<think>never closed", "", "never closed"),
        ("never opened</think>Yes.", "Yes.", "never opened"),
        ("a <b> <thin", "a <b> <thin", ""),
        ("The tag `<think>` opens.", "The tag `<think>` opens.", ""),
        ("`</think>` <think>x</think>", "`</think>` ", "x"),
        ("<think>`</think>` Yes", "` Yes", "`"),
    ];

    #[test]
    fn reasoning_is_parted_from_text_wherever_it_is_cut() {
        for (text, said, thought) in CASES {
            let wanted = (said.to_owned(), thought.to_owned());
            for at in 0..=text.len() {
                let (one, two) = text.split_at(at);
                assert_eq!(split([one, two]), wanted, "{one:?} {two:?}");
            }
            assert_eq!(split(text.split("")), wanted, "{text} by characters");
        }
    }

    #[test]
    fn only_the_beginning_of_a_tag_is_held_back() {
        let mut splitter = Splitter::default();
        let text = |text: &str| vec![Split::Text(text.to_owned())];
        assert_eq!(splitter.push("Well <"), text("Well "));
        assert_eq!(splitter.push("b"), text("<b"));
        assert_eq!(splitter.push("<th"), Vec::new());
        assert_eq!(splitter.finish(), text("<th"));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(pieces in prop::collection::vec("[a`</think>é]{0,9}", 0..9)) {
            let whole = pieces.concat();
            let wanted = split([whole.as_str()]);
            let found = split(pieces.iter().map(String::as_str));
            prop_assert_eq!(&found, &wanted);
            if !whole.contains("think>") {
                prop_assert_eq!(found.0, whole);
            }
        }
    }
}
