//! The conversation that a model receives: the newest messages that fit, in alternating roles.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::media::ModelInput;
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
    pub(crate) content: ChatContent<'a>,
}

/// The content of a message of a chat completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChatContent<'a> {
    pub(crate) text: Cow<'a, str>,
    /// The addresses of images.
    pub(crate) images: Vec<String>,
}

impl<'a> From<Cow<'a, str>> for ChatContent<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        let images = Vec::new();
        Self { text, images }
    }
}

impl Serialize for ChatContent<'_> {
    /// Without images it is a string: some servers take no parts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.images.is_empty() {
            return serializer.serialize_str(&self.text);
        }
        let text = json!({ "type": "text", "text": self.text });
        let images = self.images.iter();
        let images = images.map(|url| json!({ "type": "image_url", "image_url": { "url": url } }));
        serializer.collect_seq([text].into_iter().chain(images))
    }
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
            let text = ModelInput::only_text(message).text;
            let rest = left.checked_sub(text.chars().count());
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
    /// beginning is left out if its message is. Only `message` has images, if any; those of
    /// earlier messages are mentioned in the text.
    pub(crate) fn conversation(
        self,
        message: &'a Message,
        with_images: bool,
    ) -> Vec<ChatMessage<'a>> {
        let mut conversation = Vec::new();
        for message in self.earlier {
            let input = ModelInput::only_text(message);
            if input.text.trim().is_empty() {
                continue;
            }
            if conversation.is_empty() && message.is_agent() {
                if !self.is_whole {
                    continue;
                }
                add(&mut conversation, "user", OPENING.into());
            }
            let role = if message.is_agent() {
                "assistant"
            } else {
                "user"
            };
            add(&mut conversation, role, input.text);
        }
        let input = if with_images {
            ModelInput::with_images(message)
        } else {
            ModelInput::only_text(message)
        };
        add(&mut conversation, "user", input.text);
        if let Some(last) = conversation.last_mut() {
            last.content.images = input.images;
        }
        conversation
    }
}

fn add<'a>(conversation: &mut Vec<ChatMessage<'a>>, role: &'static str, text: Cow<'a, str>) {
    match conversation.last_mut().filter(|last| last.role == role) {
        Some(last) => {
            let merged = last.content.text.to_mut();
            merged.push_str(BLANK_LINE);
            merged.push_str(&text);
        }
        None => conversation.push(ChatMessage {
            role,
            content: text.into(),
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
        let shown = window.conversation(&last, true).into_iter();
        shown
            .map(|said| (said.role, said.content.text.into_owned()))
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

    #[test]
    fn only_the_last_message_has_images_also_if_it_is_merged() {
        let url = "https://h/cat.png";
        let attachments = json!([{ "type": "image", "url": url }]).to_string();
        let mut earlier = messages(&[(false, "One?"), (true, "One."), (false, "Two?")]);
        for at in [0, 2] {
            earlier[at].body.attachments = Some(attachments.clone());
        }
        let window = Window {
            earlier: &earlier,
            is_whole: true,
        };
        let mut last = message(99, false, "Now?");
        last.body.attachments = Some(attachments);
        let merged = "Two?\n\n[image: cat.png]\n\nNow?";
        let begin = [
            json!({ "role": "user", "content": "One?\n\n[image: cat.png]" }),
            json!({ "role": "assistant", "content": "One." }),
        ];
        let shown = |with_images| serde_json::to_value(window.conversation(&last, with_images));
        let parts = json!({ "role": "user", "content": [
            { "type": "text", "text": merged },
            { "type": "image_url", "image_url": { "url": url } },
        ]});
        let wanted = [&begin[..], &[parts]].concat();
        assert_eq!(shown(true).unwrap(), json!(wanted));
        let text = json!({ "role": "user", "content": format!("{merged}\n\n[image: cat.png]") });
        let wanted = [&begin[..], &[text]].concat();
        assert_eq!(shown(false).unwrap(), json!(wanted));
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
            let shown = window.conversation(&last, true);
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
            let shown: Vec<_> = shown.iter().map(|said| said.content.text.as_ref()).collect();
            prop_assert_eq!(shown.join(BLANK_LINE), wanted.join(BLANK_LINE));
        }
    }
}
