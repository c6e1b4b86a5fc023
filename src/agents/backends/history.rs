//! The conversation that a model receives: the newest messages that fit, in alternating roles.

use std::borrow::Cow;

use serde::Serialize;

use crate::agents::backend::TurnRequest;
use crate::domain::message::Message;

/// The user's message before an opening of the agent: many models accept no conversation that
/// begins with an assistant's message.
const OPENING: &str = "[The conversation begins.]";

/// Separates merged messages.
const BLANK_LINE: &str = "\n\n";

/// A message of a chat completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChatMessage<'a> {
    /// `system`, `user` or `assistant`.
    pub(crate) role: &'static str,
    pub(crate) content: Cow<'a, str>,
}

/// The newest messages before the one to reply to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    earlier: &'a [Message],
    /// Whether there are no older messages.
    is_whole: bool,
}

impl<'a> Window<'a> {
    /// Returns the history of a request, which has at most `wanted` messages.
    pub(crate) fn new(request: &'a TurnRequest, wanted: usize) -> Self {
        let earlier = request.history.messages();
        Self {
            earlier,
            is_whole: earlier.len() < wanted,
        }
    }

    /// Returns as many of the newest messages as fit into this many characters.
    pub(crate) fn limited_to(self, characters: usize) -> Self {
        let mut left = characters;
        let newest_first = self.earlier.iter().rev();
        let fitting = newest_first.take_while(|message| {
            let rest = left.checked_sub(message.body.content.chars().count());
            left = rest.unwrap_or_default();
            rest.is_some()
        });
        self.newest(fitting.count())
    }

    /// Returns the newer half; `None` if the window is empty.
    pub(crate) fn halved(self) -> Option<Self> {
        let half = self.earlier.len() / 2;
        (!self.earlier.is_empty()).then(|| self.newest(half))
    }

    fn newest(self, count: usize) -> Self {
        let left_out = self.earlier.len() - count;
        Self {
            earlier: self.earlier.get(left_out..).unwrap_or_default(),
            is_whole: self.is_whole && left_out == 0,
        }
    }

    /// Returns the conversation up to `message`. It begins with the user, and roles alternate,
    /// which some models require: consecutive messages of one role are merged. A reply at the
    /// beginning is left out if its message is.
    pub(crate) fn conversation(self, message: &'a Message) -> Vec<ChatMessage<'a>> {
        let mut conversation = Vec::new();
        let earlier = self.earlier.iter();
        let with_text = earlier.filter(|message| !message.body.content.trim().is_empty());
        for message in with_text.chain([message]) {
            let role = if message.is_agent() {
                "assistant"
            } else {
                "user"
            };
            if conversation.is_empty() && message.is_agent() {
                if !self.is_whole {
                    continue;
                }
                add(&mut conversation, "user", OPENING);
            }
            add(&mut conversation, role, &message.body.content);
        }
        conversation
    }
}

fn add<'a>(conversation: &mut Vec<ChatMessage<'a>>, role: &'static str, content: &'a str) {
    match conversation.last_mut().filter(|last| last.role == role) {
        Some(last) => {
            let merged = last.content.to_mut();
            merged.push_str(BLANK_LINE);
            merged.push_str(content);
        }
        None => conversation.push(ChatMessage {
            role,
            content: content.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::{MessageId, SessionId, TurnId};
    use crate::domain::message::{Body, Role, Sender, TurnState};
    use crate::domain::time::Timestamp;

    fn message(at: usize, is_agent: bool, content: &str) -> Message {
        let role = if is_agent {
            Role::Agent {
                in_reply_to: None,
                thought: None,
                actions: None,
            }
        } else {
            Role::User {
                turn_id: TurnId::from(0),
                reply_id: MessageId::from(0),
                sender: Sender::default(),
                turn: TurnState::Open,
            }
        };
        Message {
            id: MessageId::from(at as u128),
            session_id: SessionId::from(0),
            author_id: Uuid::nil(),
            created_at: Timestamp(0),
            body: Body {
                content: content.into(),
                ..Body::default()
            },
            role,
        }
    }

    fn messages(said: &[(bool, &str)]) -> Vec<Message> {
        let said = said.iter().enumerate();
        said.map(|(at, (is_agent, content))| message(at, *is_agent, content))
            .collect()
    }

    fn shown(earlier: &[(bool, &str)], is_whole: bool) -> Vec<(&'static str, String)> {
        let earlier = messages(earlier);
        let window = Window {
            earlier: &earlier,
            is_whole,
        };
        let last = message(99, false, "Now?");
        let shown = window.conversation(&last).into_iter();
        shown
            .map(|said| (said.role, said.content.into_owned()))
            .collect()
    }

    fn owned(said: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        said.iter()
            .map(|(role, text)| (*role, (*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_failed_turn_is_merged_with_the_next_one() {
        let earlier = [(false, "One?"), (true, "One."), (false, "Two?")];
        let wanted = [
            ("user", "One?"),
            ("assistant", "One."),
            ("user", "Two?\n\nNow?"),
        ];
        assert_eq!(shown(&earlier, true), owned(&wanted));
    }

    #[test]
    fn consecutive_messages_of_the_agent_are_merged() {
        let earlier = [
            (false, "One?"),
            (true, "One."),
            (true, " "),
            (true, "And two."),
        ];
        let wanted = [
            ("user", "One?"),
            ("assistant", "One.\n\nAnd two."),
            ("user", "Now?"),
        ];
        assert_eq!(shown(&earlier, true), owned(&wanted));
    }

    #[test]
    fn an_opening_stays_and_a_reply_without_its_message_does_not() {
        let earlier = [(true, "Welcome."), (false, "One?"), (true, "One.")];
        let rest = [("user", "One?"), ("assistant", "One."), ("user", "Now?")];
        assert_eq!(shown(&earlier, false), owned(&rest));
        let opening = [("user", OPENING), ("assistant", "Welcome.")];
        let whole = [opening.as_slice(), &rest].concat();
        assert_eq!(shown(&earlier, true), owned(&whole));
    }

    #[test]
    fn a_window_is_halved_until_only_the_message_is_left() {
        let earlier = messages(&[(false, "1"), (true, "2"), (false, "3"), (true, "4")]);
        let mut window = Window {
            earlier: &earlier,
            is_whole: true,
        };
        let mut sizes = Vec::new();
        while let Some(half) = window.halved() {
            sizes.push(half.earlier.len());
            window = half;
        }
        assert_eq!(sizes, [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn roles_alternate_and_the_window_is_complete(
            said in prop::collection::vec((any::<bool>(), "[a-zé ]{0,9}"), 0..30),
            is_whole: bool,
            budget in prop::option::of(0..100_usize),
            halvings in 0..3,
        ) {
            let said: Vec<_> = said.iter().map(|(by, text)| (*by, text.as_str())).collect();
            let earlier = messages(&said);
            let mut window = Window { earlier: &earlier, is_whole };
            if let Some(budget) = budget {
                window = window.limited_to(budget);
                let used: usize = window.earlier.iter().map(|m| m.body.content.chars().count()).sum();
                prop_assert!(used <= budget);
                let more = earlier.len().checked_sub(window.earlier.len() + 1);
                let next = more.map(|at| earlier[at].body.content.chars().count());
                prop_assert!(next.is_none_or(|next| used + next > budget), "more would have fitted");
            }
            for _ in 0..halvings {
                window = window.halved().unwrap_or(window);
            }
            prop_assert!(earlier.ends_with(window.earlier));

            let last = message(99, false, "Now?");
            let shown = window.conversation(&last);
            for (at, said) in shown.iter().enumerate() {
                prop_assert_eq!(said.role, if at % 2 == 0 { "user" } else { "assistant" });
            }
            prop_assert_eq!(shown.len() % 2, 1);

            let texts = window.earlier.iter().filter(|m| !m.body.content.trim().is_empty());
            let begins_with_agent = texts.clone().next().is_some_and(Message::is_agent);
            let has_opening = window.is_whole && begins_with_agent;
            let shown_texts = texts.skip_while(|m| !window.is_whole && m.is_agent());
            let contents = shown_texts.chain([&last]).map(|m| m.body.content.as_str());
            let wanted: Vec<_> = has_opening.then_some(OPENING).into_iter().chain(contents).collect();
            let shown: Vec<_> = shown.iter().map(|said| said.content.as_ref()).collect();
            prop_assert_eq!(shown.join(BLANK_LINE), wanted.join(BLANK_LINE));
        }
    }
}
