//! Redacts the messages of other servers for operators.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use reqwest::Url;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::matches::Matches;
use super::said::{EDGE_BYTES, Said};
use crate::agents::backend::{Piece, TurnRequest};
use crate::agents::secrets::BackendSecrets;
use crate::json;

/// How much of a longer message is shown of its beginning and of its end, in characters.
const HEAD_CHARS: usize = 400;
const TAIL_CHARS: usize = 200;

/// Shorter strings in metadata, in bytes, and shorter numbers, in digits, stay: they say little
/// about a user, and errors contain them by chance.
const MIN_STRING_BYTES: usize = 3;
const MIN_DIGITS: usize = 4;

/// Stands for what is left out.
const ELLIPSIS: &str = " … ";

const KEY: &str = "[key]";
const HEADER: &str = "[header]";
const QUERY: &str = "[query]";
const CONVERSATION: &str = "[conversation]";

/// Removes secrets and parts of the conversation from texts.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// The secrets of all agents.
    secrets: BackendSecrets,
    /// The secrets of this agent only, each with its replacement.
    own: Vec<(SecretString, &'static str)>,
    /// The conversation.
    request: Option<Arc<TurnRequest>>,
    /// The system prompt.
    system: String,
    /// What the agent has said so far in its answer.
    said: Said,
    /// What an operator should check if the server seems to be another one.
    hint: Option<&'static str>,
}

impl Redactor {
    /// Returns a redactor of all agents' secrets and of a request's conversation.
    pub(crate) fn new(secrets: &BackendSecrets, request: &Arc<TurnRequest>, system: &str) -> Self {
        Self {
            request: Some(Arc::clone(request)),
            system: system.to_owned(),
            ..Self::for_secrets(secrets)
        }
    }

    /// Returns a redactor of all agents' secrets only.
    pub(crate) fn for_secrets(secrets: &BackendSecrets) -> Self {
        Self {
            secrets: secrets.clone(),
            ..Self::default()
        }
    }

    /// Adds a key.
    pub(crate) fn with_key(mut self, key: Option<&SecretString>) -> Self {
        self.own.extend(key.map(|key| (key.clone(), KEY)));
        self
    }

    /// Adds the values of headers.
    pub(crate) fn with_headers(mut self, headers: &HeaderMap) -> Self {
        let values = headers.values().filter_map(|value| value.to_str().ok());
        self.own.extend(values.map(|value| (value.into(), HEADER)));
        self
    }

    /// Adds the values in the query of an address, as they are written there and decoded.
    pub(crate) fn with_query(mut self, url: &Url) -> Self {
        let written = url.query().unwrap_or_default().split('&');
        let written = written.filter_map(|pair| Some(pair.split_once('=')?.1.to_owned()));
        let decoded = url.query_pairs().map(|(_, value)| value.into_owned());
        let values = written.chain(decoded);
        self.own.extend(values.map(|value| (value.into(), QUERY)));
        self
    }

    /// Sets the hint for operators: a question.
    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// Notes the text of a piece of the answer: a later error must not repeat it.
    pub(crate) fn note(&self, piece: &Piece) {
        self.said.add(piece);
    }

    /// Returns a cause with the hint, for a server that seems to be another one.
    pub(super) fn hinted(&self, cause: String) -> String {
        match self.hint {
            Some(hint) => format!("{cause}; {hint}"),
            None => cause,
        }
    }

    /// Returns the text as operators may see it, in one line. Of a long text, the middle is left
    /// out.
    pub(crate) fn redact(&self, text: &str) -> String {
        let text = one_line(&without_middle(text, EDGE_BYTES));
        let mut matches = Matches::new(&text);
        self.find_secrets(&mut matches);
        self.find_conversation(&mut matches, text.contains('\\'));
        shortened(&matches.replaced())
    }

    /// Returns a name that the server uses, without secrets. A conversation has no names.
    pub(super) fn redact_name(&self, name: &str) -> String {
        let mut matches = Matches::new(name);
        self.find_secrets(&mut matches);
        matches.replaced()
    }

    fn find_secrets(&self, matches: &mut Matches<'_>) {
        for secret in self.secrets.all() {
            matches.find_secret(secret.expose_secret(), KEY);
        }
        for (secret, replacement) in &self.own {
            matches.find_secret(secret.expose_secret(), replacement);
        }
    }

    /// Finds the conversation, also in the forms that it has in JSON if the text has escapes.
    fn find_conversation(&self, matches: &mut Matches<'_>, has_escapes: bool) {
        let mut find = |said: &str| {
            let said = said.trim();
            matches.find_text(&one_line(said), CONVERSATION);
            if has_escapes {
                let escaped = json::text(&said);
                let escaped = escaped.trim_matches('"');
                matches.find_text(escaped, CONVERSATION);
                matches.find_text(&ascii(escaped), CONVERSATION);
            }
        };
        find(&self.system);
        self.said.texts().iter().for_each(|said| find(said));
        let Some(request) = &self.request else {
            return;
        };
        for message in request.history.messages().iter().chain([&request.message]) {
            find(&message.body.content);
            // Servers repeat the addresses of files that they cannot load.
            find(message.body.attachments.as_deref().unwrap_or_default());
            find_metadata(message.body.metadata.as_deref(), &mut find);
        }
        find_metadata(Some(&request.session.metadata), &mut find);
        for said in request.history.statements() {
            find(said);
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(..)")
    }
}

/// Finds metadata as it is stored, and each value in it: servers repeat requests with other blanks.
fn find_metadata(metadata: Option<&str>, find: &mut impl FnMut(&str)) {
    let Some(text) = metadata.filter(|text| *text != "{}") else {
        return;
    };
    find(text);
    if let Ok(value) = serde_json::from_str(text) {
        find_values(&value, find);
    }
}

fn find_values(value: &Value, find: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) if text.len() >= MIN_STRING_BYTES => find(text),
        Value::Number(number) => {
            let number = number.to_string();
            let digits = number.chars().filter(char::is_ascii_digit);
            if digits.count() >= MIN_DIGITS {
                find(&number);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| find_values(value, find)),
        Value::Object(fields) => fields.values().for_each(|value| find_values(value, find)),
        Value::String(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// Replaces control characters.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Escapes all characters beyond ASCII as JSON libraries of other languages do.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii() {
            escaped.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// Leaves out the middle of a text if it has more than twice `max` bytes.
fn without_middle(text: &str, max: usize) -> String {
    if text.len() <= 2 * max {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(max)];
    let tail = &text[text.ceil_char_boundary(text.len() - max)..];
    format!("{head}{ELLIPSIS}{tail}")
}

/// Leaves out the middle of a text that is too long to be shown.
fn shortened(text: &str) -> String {
    let chars = text.chars().count();
    if chars <= HEAD_CHARS + TAIL_CHARS {
        return text.to_owned();
    }
    let head = text.chars().take(HEAD_CHARS);
    let tail = text.chars().skip(chars - TAIL_CHARS);
    head.chain(ELLIPSIS.chars()).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderName;

    use super::*;
    use crate::agents::client::matches::WINDOW_BYTES;

    /// Returns a redactor of a conversation of one text.
    fn of_text(said: &str) -> Redactor {
        Redactor {
            system: said.to_owned(),
            ..Redactor::default()
        }
    }

    fn of_secret(secret: &str) -> Redactor {
        Redactor::default().with_key(Some(&secret.into()))
    }

    #[test]
    fn a_key_is_replaced_and_the_rest_stays() {
        let secrets = BackendSecrets::default();
        secrets.add(&"sk-of-another-agent".into());
        let redactor = Redactor::for_secrets(&secrets).with_key(Some(&"sk-12345".into()));
        assert_eq!(
            redactor.redact("Wrong key: sk-12345.\nTry sk-of-another-agent\u{1b}, sk-of-another-a"),
            "Wrong key: [key]. Try [key] , sk-of-another-a"
        );
        assert_eq!(redactor.redact_name("code_sk-12345"), "code_[key]");
        assert_eq!(format!("{redactor:?}"), "Redactor(..)");
        // A short value is replaced only as a word.
        assert_eq!(
            of_secret("4").redact("404: 4 is wrong"),
            "404: [key] is wrong"
        );
    }

    #[test]
    fn the_values_of_headers_and_of_the_query_are_replaced() {
        let headers = [("x-api-key", "hk-1"), ("x-empty", "")];
        let headers =
            headers.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let url = Url::parse("http://h/v1?key=pa55%20word&v=2024").unwrap();
        let redactor = Redactor::default()
            .with_headers(&HeaderMap::from_iter(headers))
            .with_query(&url);
        assert_eq!(
            redactor.redact("hk-1 in /v1?key=pa55%20word is not pa55 word"),
            "[header] in /v1?key=[query] is not [query]"
        );
    }

    #[test]
    fn only_the_parts_that_repeat_the_conversation_are_replaced() {
        let secret = "My doctor says that I have something\nno one should know of";
        let redactor = of_text(secret);
        for (text, redacted) in [
            (
                format!("cannot parse: {secret}"),
                "cannot parse: [conversation]",
            ),
            (
                "bad input near 'something no one should know'; code 7".to_owned(),
                "bad input near '[conversation]'; code 7",
            ),
            (
                format!("bad body {{\"content\":{secret:?}}} at 9"),
                "bad body {\"content\":\"[conversation]\"} at 9",
            ),
            ("model not found".to_owned(), "model not found"),
        ] {
            assert_eq!(redactor.redact(&text), redacted);
        }
        let japanese = "医者は、誰にも知られてはいけない病気だと言っています";
        let redactor = of_text(japanese);
        for text in [
            "near '誰にも知られてはいけない病気'!".to_owned(),
            format!("near '{}'!", ascii(japanese)),
        ] {
            assert_eq!(redactor.redact(&text), "near '[conversation]'!");
        }
        // A short message is replaced where it is a word by itself.
        let redactor = of_text("no");
        assert_eq!(redactor.redact("you said no!"), "you said [conversation]!");
        assert_eq!(redactor.redact("model not found"), "model not found");
    }

    #[test]
    fn the_beginning_and_the_end_of_a_long_text_stay() {
        let long = format!("no such model{}(request 7)", "é".repeat(100_000));
        let shown = Redactor::default().redact(&long);
        assert_eq!(
            shown.chars().count(),
            HEAD_CHARS + TAIL_CHARS + ELLIPSIS.chars().count()
        );
        assert!(shown.starts_with("no such modelé") && shown.ends_with("é(request 7)"));
        assert_eq!(shown.matches(ELLIPSIS).count(), 1);
    }

    /// A text without meaning that repeats itself, so that parts of it occur elsewhere.
    const TEXT: &str = "[ab é漢😀]{0,60}";

    proptest! {
        #[test]
        fn no_part_of_the_conversation_or_of_a_secret_survives(
            secret in TEXT,
            said in TEXT,
            noise in TEXT,
            cuts in prop::array::uniform4(0..200_usize),
        ) {
            let part = |text: &str, start: usize, length: usize| {
                text.chars().skip(start % 60).take(length).collect::<String>()
            };
            let [a, b, c, d] = cuts;
            let text = [
                part(&said, a, b),
                noise.clone(),
                part(&secret, c, d),
                secret.clone(),
                noise,
                part(&said, d, a),
            ];
            let redactor = Redactor {
                system: said.clone(),
                ..of_secret(&secret)
            };
            let redacted = redactor.redact(&text.concat());
            for hidden in [said.trim(), &secret] {
                for window in hidden.as_bytes().windows(WINDOW_BYTES) {
                    let mut found = redacted.as_bytes().windows(WINDOW_BYTES);
                    prop_assert!(!found.any(|it| it == window), "{redacted}");
                }
            }
            if secret.len() >= 4 {
                prop_assert!(!redacted.contains(&secret), "{redacted}");
            }
        }

        #[test]
        fn a_text_without_matches_stays_whole(
            text in "[A-Z0-9漢é\"\\\\:]{0,400}",
            said in "[a-z ]{0,60}",
        ) {
            let redactor = Redactor { system: said, ..of_secret("sk-secret") };
            prop_assert_eq!(redactor.redact(&text), text);
        }

        #[test]
        fn control_characters_are_removed(text: String) {
            let redacted = Redactor::default().redact(&text);
            prop_assert!(!redacted.contains(char::is_control));
        }
    }
}
