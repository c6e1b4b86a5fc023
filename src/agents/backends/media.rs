//! The attachments of a conversation as a model receives them: images, or a line of text each.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::domain::message::Message;

/// Longer names, types and addresses are left out or cut, in characters.
const MAX_NAME_CHARS: usize = 200;
const MAX_URL_CHARS: usize = 2000;

/// Where the type of an attachment may stand: in the API's format, in that of `ElizaOS`'s `Media`,
/// and in that of other programs.
const TYPES: [&str; 3] = ["type", "contentType", "mimeType"];

/// Where its name may stand.
const NAMES: [&str; 2] = ["name", "title"];

/// What a model receives of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ModelInput<'a> {
    /// The content, and a line for each attachment that is not among the images.
    pub(crate) text: Cow<'a, str>,
    /// The addresses of the images: `http:`, `https:` or `data:`.
    pub(crate) images: Vec<String>,
}

impl<'a> ModelInput<'a> {
    /// Returns text and images of a message.
    pub(crate) fn with_images(message: &'a Message) -> Self {
        let mut images = Vec::new();
        let text = text(message, |attachment| {
            let url = attachment.image_url();
            let is_image = url.is_some();
            images.extend(url.map(str::to_owned));
            is_image
        });
        Self { text, images }
    }

    /// Returns the text of a message, in which its images are mentioned.
    pub(crate) fn only_text(message: &'a Message) -> Self {
        Self {
            text: text(message, |_| false),
            images: Vec::new(),
        }
    }
}

/// Returns the content and a line for each attachment that is not shown otherwise.
fn text(message: &Message, mut is_shown: impl FnMut(&Attachment) -> bool) -> Cow<'_, str> {
    let content = message.body.content.as_str();
    let attachments = message.body.attachments.as_deref().unwrap_or_default();
    let attachments: Vec<Value> = serde_json::from_str(attachments).unwrap_or_default();
    let attachments = attachments.into_iter().filter_map(|it| match it {
        Value::Object(fields) => Some(Attachment(fields)),
        _ => None,
    });
    let lines = attachments.filter(|attachment| !is_shown(attachment));
    let lines: Vec<_> = lines.map(|attachment| attachment.line()).collect();
    if lines.is_empty() {
        return content.into();
    }
    let lines = lines.join("\n");
    if content.trim().is_empty() {
        return lines.into();
    }
    format!("{content}\n\n{lines}").into()
}

struct Attachment(Map<String, Value>);

impl Attachment {
    /// Returns the address of an image that a model may be able to read.
    fn image_url(&self) -> Option<&str> {
        let url = self.text("url")?;
        let scheme = url.split_once(':')?.0.to_ascii_lowercase();
        let is_readable = match scheme.as_str() {
            "http" | "https" => true,
            "data" => has_prefix(url, "data:image/"),
            _ => false,
        };
        (self.is_image() && is_readable).then_some(url)
    }

    /// Returns whether it is an image. Models do not read vector graphics.
    fn is_image(&self) -> bool {
        let mut types = TYPES.iter().filter_map(|name| self.text(name));
        let is_vector = types.clone().any(|it| has_prefix(it, "image/svg"));
        let is_image = types.any(|it| it.eq_ignore_ascii_case("image") || has_prefix(it, "image/"));
        is_image && !is_vector
    }

    /// Returns the line that mentions it, such as `[image: cat.png]` or
    /// `[file: report.pdf, application/pdf, https://example.org/report.pdf]`.
    fn line(&self) -> String {
        let mut line = if self.is_image() {
            format!("[image: {}", self.name())
        } else {
            format!("[file: {}", self.name())
        };
        if !self.is_image() {
            let kind = self.text("type").filter(|kind| *kind != "file");
            let url = self.text("url").filter(|url| {
                let is_web = has_prefix(url, "http:") || has_prefix(url, "https:");
                is_web && url.chars().count() <= MAX_URL_CHARS
            });
            for part in [kind.map(one_line), url.map(str::to_owned)] {
                line.extend(part.into_iter().flat_map(|part| [", ".to_owned(), part]));
            }
        }
        line.push(']');
        line
    }

    /// Returns its name, else the last part of its address.
    fn name(&self) -> String {
        let mut names = NAMES.iter().filter_map(|name| self.text(name));
        let name = names.next().or_else(|| {
            let url = self.text("url").filter(|url| !has_prefix(url, "data:"))?;
            let path = url.split(['?', '#']).next()?;
            path.rsplit('/').find(|part| !part.is_empty())
        });
        one_line(name.unwrap_or("unnamed"))
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name).and_then(Value::as_str)?.trim();
        (!text.is_empty()).then_some(text)
    }
}

fn has_prefix(text: &str, prefix: &str) -> bool {
    let start = text.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Returns the beginning of a text, without line breaks and brackets.
fn one_line(text: &str) -> String {
    let text = text.chars().take(MAX_NAME_CHARS);
    text.map(|c| match c {
        '[' => '(',
        ']' => ')',
        c if c.is_control() => ' ',
        c => c,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::{MessageId, SessionId, TurnId};
    use crate::domain::message::{Body, Role, Sender, TurnState};
    use crate::domain::time::Timestamp;

    fn message(content: &str, attachments: &Value) -> Message {
        Message {
            id: MessageId::from(1),
            session_id: SessionId::from(0),
            author_id: Uuid::nil(),
            created_at: Timestamp(0),
            body: Body {
                content: content.into(),
                attachments: Some(attachments.to_string()),
                ..Body::default()
            },
            role: Role::User {
                turn_id: TurnId::from(0),
                reply_id: MessageId::from(0),
                sender: Sender::default(),
                turn: TurnState::Open,
            },
        }
    }

    fn lines(attachments: &Value) -> String {
        let message = message("", attachments);
        ModelInput::only_text(&message).text.into_owned()
    }

    fn images(attachments: &Value) -> Vec<String> {
        ModelInput::with_images(&message("See", attachments)).images
    }

    #[test]
    fn images_are_recognised_in_the_format_of_the_api_and_of_elizaos() {
        let url = "https://h/a/cat.png?s=1";
        let data = "data:image/png;base64,iVBORw0KGgo=";
        for one in [
            json!({ "type": "image", "url": url }),
            json!({ "type": "Image/PNG", "url": url }),
            json!({ "type": "file", "contentType": "image", "url": url, "title": "A cat" }),
            json!({ "type": "media", "mimeType": "image/webp", "url": url }),
        ] {
            assert_eq!(images(&json!([one])), [url], "{one}");
        }
        let one = json!([{ "type": "image", "url": data }]);
        assert_eq!(images(&one), [data]);
        for other in [
            json!({ "type": "image", "url": "/media/cat.png" }),
            json!({ "type": "image", "url": "blob:http://h/1" }),
            json!({ "type": "image", "url": "file:///etc/passwd" }),
            json!({ "type": "image", "url": "data:text/html,<b>" }),
            json!({ "type": "image/svg+xml", "url": url }),
            json!({ "type": "application/pdf", "url": url }),
            json!({ "type": "imagery", "url": url }),
        ] {
            assert!(images(&json!([other])).is_empty(), "{other}");
        }
    }

    #[test]
    fn what_is_not_shown_is_mentioned() {
        let attachments = json!([
            { "type": "image", "url": "https://h/cat.png", "name": "My cat" },
            { "type": "image", "url": "https://h/a/dog.png?x=/y" },
            { "type": "image", "url": "data:image/png;base64,AAAA" },
            { "type": "application/pdf", "url": "https://h/r.pdf", "title": "Report\n[2]" },
            { "type": "file", "url": "/local/notes.txt" },
        ]);
        assert_eq!(
            lines(&attachments),
            "[image: My cat]\n[image: dog.png]\n[image: unnamed]\n\
             [file: Report (2), application/pdf, https://h/r.pdf]\n[file: notes.txt]"
        );
        let shown = message("See", &attachments);
        let shown = ModelInput::with_images(&shown);
        assert_eq!(shown.images.len(), 3);
        assert_eq!(
            shown.text,
            "See\n\n[file: Report (2), application/pdf, https://h/r.pdf]\n[file: notes.txt]"
        );
    }

    #[test]
    fn a_message_without_attachments_is_its_content() {
        let message = message("Hello", &json!([7, null]));
        let input = ModelInput::with_images(&message);
        assert_eq!(input.text, Cow::Borrowed("Hello"));
        assert!(matches!(input.text, Cow::Borrowed(_)));
    }
}
