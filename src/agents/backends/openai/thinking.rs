//! Reasoning that a model writes into its text, between `<think>` and `</think>`.

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

/// Separates reasoning from a text that arrives in pieces. Only the possible beginning of a tag is
/// held back.
///
/// Users also ask about such tags, so an opening one counts only at the beginning of the text or of
/// a line; a closing one without an opening one only there or at the end of a line.
#[derive(Debug)]
pub(super) struct Splitter {
    held: String,
    is_inside: bool,
    /// Whether a tag has counted.
    was_opened: bool,
    /// Whether the current line is blank so far.
    is_line_blank: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            held: String::new(),
            is_inside: false,
            was_opened: false,
            is_line_blank: true,
        }
    }
}

/// A part of a model's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Text for the user.
    Text(String),
    /// Reasoning.
    Thought(String),
    /// All earlier text was reasoning: it is closed but not opened, as by models whose template
    /// contains the opening tag.
    WasThought,
}

impl Splitter {
    /// Splits the next piece.
    pub(super) fn push(&mut self, text: &str) -> Vec<Split> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        while let Some((at, tag)) = self.find_tag() {
            let end = at + tag.len();
            if !self.counts(at, tag) {
                if tag == CLOSING && end == self.held.len() {
                    // The next character decides.
                    self.split_off(at, &mut parts);
                    return parts;
                }
                self.split_off(end, &mut parts);
                continue;
            }
            self.split_off(at, &mut parts);
            self.held.drain(..tag.len());
            self.is_inside = tag == OPENING;
            self.is_line_blank = true;
            if tag == CLOSING && !self.was_opened {
                parts.push(Split::WasThought);
            }
            self.was_opened = true;
        }
        let complete = self.held.len() - self.begun_tag();
        self.split_off(complete, &mut parts);
        parts
    }

    /// Ends the text: what is held back is not a tag.
    pub(super) fn finish(&mut self) -> Vec<Split> {
        let mut parts = Vec::new();
        self.split_off(self.held.len(), &mut parts);
        parts
    }

    /// Moves held text up to `end` to the parts.
    fn split_off(&mut self, end: usize, parts: &mut Vec<Split>) {
        if end == 0 {
            return;
        }
        let part: String = self.held.drain(..end).collect();
        self.is_line_blank = self.begins_line(&part);
        parts.push(if self.is_inside {
            Split::Thought(part)
        } else {
            Split::Text(part)
        });
    }

    /// Returns whether only blanks precede on its line what follows this part.
    fn begins_line(&self, part: &str) -> bool {
        match part.rsplit_once('\n') {
            Some((_, line)) => line.trim().is_empty(),
            None => self.is_line_blank && part.trim().is_empty(),
        }
    }

    /// Returns whether a tag is not just a word of the text.
    fn counts(&self, at: usize, tag: &str) -> bool {
        let (before, after) = (&self.held[..at], &self.held[at + tag.len()..]);
        let ends_line = tag == CLOSING && after.starts_with(['\n', '\r']);
        self.is_inside || self.begins_line(before) || ends_line
    }

    /// Returns the next tag that may count, with its position.
    fn find_tag(&self) -> Option<(usize, &'static str)> {
        let found = self.tags();
        let found = found.filter_map(|tag| Some((self.held.find(tag)?, tag)));
        found.min()
    }

    fn tags(&self) -> impl Iterator<Item = &'static str> {
        let opening = (!self.is_inside).then_some(OPENING);
        let closing = (self.is_inside || !self.was_opened).then_some(CLOSING);
        opening.into_iter().chain(closing)
    }

    /// Returns the length of the possible beginning of a tag at the end of the held text.
    fn begun_tag(&self) -> usize {
        let begun = |tag: &'static str| {
            let mut lengths = (1..tag.len()).rev();
            lengths.find(|length| self.held.ends_with(&tag[..*length]))
        };
        self.tags().filter_map(begun).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns text and reasoning of a text in these pieces.
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

    const CASES: [(&str, &str, &str); 15] = [
        ("<think>hm</think>Yes.", "Yes.", "hm"),
        (" \n <think>hm</think>Yes.", " \n Yes.", "hm"),
        (
            "So\n<think>hm</think><think>no</think>yes.",
            "So\nyes.",
            "hmno",
        ),
        ("<think>a < b </thin </think>Yes.", "Yes.", "a < b </thin "),
        ("<think>never closed", "", "never closed"),
        ("never opened\n</think>Yes.", "Yes.", "never opened\n"),
        ("never opened</think>\n\nYes.", "\n\nYes.", "never opened"),
        ("a <b> <thin", "a <b> <thin", ""),
        ("<think>`</think>` Yes", "` Yes", "`"),
        // About the tags themselves.
        ("The tag `<think>` opens.", "The tag `<think>` opens.", ""),
        (
            "Use `<think>` so: `<think>x</think>`. Done.",
            "Use `<think>` so: `<think>x</think>`. Done.",
            "",
        ),
        (
            "To end, write </think> on a line.",
            "To end, write </think> on a line.",
            "",
        ),
        (
            "It begins with <think> and",
            "It begins with <think> and",
            "",
        ),
        ("It is closed by </think>", "It is closed by </think>", ""),
        (
            "<think>a</think>It is closed by </think>\n",
            "It is closed by </think>\n",
            "a",
        ),
    ];

    #[test]
    fn chunks_may_split_reasoning_and_text_anywhere() {
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
        fn the_parts_are_the_whole_text(pieces in prop::collection::vec("[a`</think>é]{0,9}", 0..9)) {
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
