//! The errors that servers report, whatever their format.

use serde_json::{Map, Value};

use super::redact::Redactor;
use super::status;
use crate::agents::backend::BackendError;
use crate::domain::failure::FailureReason;
use crate::json;

/// Longer types and codes are cut, in characters.
const MAX_NAME_CHARS: usize = 64;

/// Where servers put the message of an error.
const MESSAGES: [&str; 5] = ["error", "message", "detail", "msg", "code"];

/// Parts of the names of errors, lower-case letters and digits only, with what they mean. The first
/// that occurs counts.
const NAMES: [(&[&str], FailureReason); 5] = [
    (
        &[
            "contentfilter",
            "contentpolicy",
            "responsibleai",
            "moderation",
        ],
        FailureReason::Refused,
    ),
    (
        &[
            "contextlength",
            "contextsize",
            "contextwindow",
            "tokenslimitreached",
            "stringabovemaxlength",
            "toolarge",
        ],
        FailureReason::TooLong,
    ),
    (
        &[
            "ratelimit",
            "toomanyrequests",
            "resourceexhausted",
            "overloaded",
            "capacity",
            "throttl",
        ],
        FailureReason::Busy,
    ),
    (
        &[
            "quota",
            "billing",
            "balance",
            "payment",
            "apikey",
            "authentication",
            "unauthenticated",
            "unauthorized",
            "permission",
            "accessdenied",
            "forbidden",
            "notfound",
            "badrequest",
            "invalidrequest",
            "invalidargument",
            "unsupported",
            "unprocessable",
            "validation",
        ],
        FailureReason::Misconfigured,
    ),
    (
        &["server", "internal", "unavailable", "timeout", "apierror"],
        FailureReason::Unavailable,
    ),
];

/// Names of errors that end when the operator pays, although their servers report them as overload.
const QUOTA: [&str; 4] = ["quota", "billing", "balance", "payment"];

/// What a server reports about a failure.
#[derive(Debug, Default)]
pub(crate) struct ReportedError {
    /// For people.
    pub(crate) message: String,
    /// The type, and what it is called: `type` or `status`.
    kind: Option<(&'static str, String)>,
    /// The code, a text or a number.
    code: Option<String>,
    /// Whether what the user said was flagged.
    is_flagged: bool,
}

impl ReportedError {
    /// Reads an error: JSON of any common form, a page, or plain text.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let body = json::well_formed(body);
        let text = String::from_utf8_lossy(&body);
        let text = text.trim();
        let Ok(value) = json::from_js::<Value>(text.as_bytes()) else {
            return Self {
                message: page(text).unwrap_or_else(|| text.to_owned()),
                ..Self::default()
            };
        };
        let message = message_in(&value).unwrap_or_else(|| text.to_owned());
        let outer = object_in(&value);
        let inner = outer.and_then(|outer| object_in(outer.get("error")?));
        let objects = [inner, outer];
        let name = |names: [&'static str; 2]| {
            let mut objects = objects.iter().flatten();
            objects.find_map(|object| {
                let found = names.map(|name| Some((name, name_in(object, name)?)));
                found.into_iter().flatten().next()
            })
        };
        let metadata = inner.and_then(|inner| inner.get("metadata"));
        Self {
            message,
            kind: name(["type", "status"]).and_then(kind),
            code: name(["code", "error_code"]).map(|(_, code)| code),
            is_flagged: metadata.is_some_and(|it| it.get("flagged_input").is_some()),
        }
    }

    /// Returns the reason that the code or the type means, if it means one.
    pub(super) fn reason(&self) -> Option<FailureReason> {
        if self.is_flagged {
            return Some(FailureReason::Refused);
        }
        let mut names = self.names();
        names.find_map(|name| {
            let status = name
                .parse()
                .ok()
                .filter(|status| (400..600).contains(status));
            status.map(status::reason).or_else(|| meaning(name))
        })
    }

    /// Returns whether the operator has to pay.
    pub(super) fn is_quota(&self) -> bool {
        let mut names = self.names().map(letters);
        names.any(|name| QUOTA.iter().any(|part| name.contains(part)))
    }

    /// Returns whether the error is about a model or an agent, and not about the address.
    pub(super) fn names_model(&self) -> bool {
        let message = self.message.to_lowercase();
        let mut texts = self.names().chain([&*message]);
        texts.any(|text| text.contains("model") || text.contains("agent"))
    }

    /// Returns whether the server has no such path, though it does not say so by a status: LM
    /// Studio answers 200.
    fn is_wrong_path(&self) -> bool {
        let message = self.message.to_lowercase();
        message.starts_with("unexpected endpoint or method")
    }

    /// Returns the message for operators, with the type and the code.
    pub(super) fn describe(&self, redactor: &Redactor) -> String {
        let message = redactor.redact(&self.message);
        let kind = self.kind.as_ref().map(|(what, name)| (*what, name));
        let code = self.code.as_ref().map(|code| ("code", code));
        let names = kind.into_iter().chain(code);
        let names = names.filter(|(_, name)| **name != self.message);
        let names = names.map(|(what, name)| format!("{what} {}", shown_name(name, redactor)));
        let names: Vec<_> = names.collect();
        match (message.is_empty(), names.is_empty()) {
            (true, true) => "it gave no cause".to_owned(),
            (false, true) => message,
            (true, false) => names.join(", "),
            (false, false) => format!("{message} ({})", names.join(", ")),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let kind = self.kind.as_ref().map(|(_, name)| name);
        let names = self.code.as_ref().into_iter().chain(kind);
        names.map(String::as_str)
    }
}

/// Returns the error that an answer, or a part of it, reports although its status is a success. An
/// error without a known name means that the server cannot answer at present.
pub(crate) fn reported_error(text: &str, redactor: &Redactor) -> BackendError {
    let error = ReportedError::parse(text.as_bytes());
    let cause = format!("it answered an error: {}", error.describe(redactor));
    if error.is_wrong_path() {
        return BackendError::new(FailureReason::Misconfigured, redactor.hinted(cause));
    }
    BackendError::new(error.reason().unwrap_or(FailureReason::Unavailable), cause)
}

fn message_in(error: &Value) -> Option<String> {
    match error {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.first().and_then(message_in),
        Value::Object(fields) => MESSAGES
            .iter()
            .find_map(|name| message_in(fields.get(*name)?)),
        _ => None,
    }
}

/// Returns an object, or the first one of an array.
fn object_in(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Array(items) => items.first()?.as_object(),
        value => value.as_object(),
    }
}

/// Returns the type of an error. Some objects are of the type "error". Gemini's status is the name
/// of a type, that of others a number.
fn kind((what, name): (&'static str, String)) -> Option<(&'static str, String)> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let what = if is_number { what } else { "type" };
    (name != "error").then_some((what, name))
}

/// Returns a name that is a text or a number.
fn name_in(object: &Map<String, Value>, name: &str) -> Option<String> {
    let name = match object.get(name)? {
        Value::String(name) => name.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!name.is_empty()).then_some(name)
}

/// Returns what the name of an error means.
fn meaning(name: &str) -> Option<FailureReason> {
    let name = letters(name);
    let is_meant = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let found = NAMES.iter().find(|(parts, _)| is_meant(parts));
    found.map(|(_, reason)| *reason)
}

fn letters(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Returns a type or a code as operators see it. One that is not a name might be anything.
fn shown_name(name: &str, redactor: &Redactor) -> String {
    let is_name = |char: char| char.is_ascii_alphanumeric() || "_-.:/".contains(char);
    let redacted = if name.chars().all(is_name) {
        redactor.redact_name(name)
    } else {
        redactor.redact(name)
    };
    redacted.chars().take(MAX_NAME_CHARS).collect()
}

/// Describes a page by its title.
fn page(text: &str) -> Option<String> {
    text.starts_with('<').then(|| match title(text) {
        Some(title) => format!("a page with the title {title:?}"),
        None => "a page".to_owned(),
    })
}

fn title(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<title")?;
    let (_, rest) = rest.split_once('>')?;
    let (title, _) = rest.split_once('<')?;
    Some(title.trim()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_in_every_format() {
        for (body, text) in [
            (
                r#"{"error":{"message":"no such model","type":"x"}}"#,
                "no such model",
            ),
            (r#"{"error":"no such model"}"#, "no such model"),
            (r#"{"success":false,"error":{"code":"GONE"}}"#, "GONE"),
            (r#"{"message":"no"}"#, "no"),
            (r#"[{"error":{"code":400,"message":"no"}}]"#, "no"),
            (r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#, "no"),
            (" plain \n", "plain"),
            ("\u{feff}plain", "plain"),
            (
                "\u{feff}{\"error\":\"cut \\ud83c\",\"error\":\"\\udf89\"}",
                "\u{fffd}",
            ),
            (r#"{"other":1}"#, r#"{"other":1}"#),
            ("<!doctype html><p>Hi", "a page"),
            (
                "<html><head><title>502 Bad Gateway</title>",
                "a page with the title \"502 Bad Gateway\"",
            ),
        ] {
            assert_eq!(
                ReportedError::parse(body.as_bytes()).message,
                text,
                "{body}"
            );
        }
    }

    #[test]
    fn the_type_and_the_code_always_stay() {
        let redactor = Redactor::default().with_key(Some(&"sk-secret".into()));
        for (body, cause) in [
            (
                r#"{"error":{"message":"no sk-secret","type":"not_found_error","code":"x_y"}}"#,
                "no [key] (type not_found_error, code x_y)",
            ),
            (
                r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
                "no (type INVALID_ARGUMENT, code 400)",
            ),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                "Overloaded (type overloaded_error)",
            ),
            (
                r#"{"error":{"message":"no","type":null,"status":400}}"#,
                "no (status 400)",
            ),
            (r#"{"message":"no","type":1210}"#, "no (type 1210)"),
            (
                r#"{"object":"error","message":"no","code":"key sk-secret"}"#,
                "no (code key [key])",
            ),
            (r#"{"success":false,"error":{"code":"GONE"}}"#, "GONE"),
            ("", "it gave no cause"),
        ] {
            assert_eq!(
                ReportedError::parse(body.as_bytes()).describe(&redactor),
                cause,
                "{body}"
            );
        }
    }

    #[test]
    fn the_code_or_the_type_determines_the_reason() {
        use FailureReason::{Busy, Misconfigured, Refused, TooLong, Unavailable};

        for (body, reason) in [
            // OpenAI and those that imitate it.
            (
                r#"{"error":{"message":"x","type":"invalid_request_error","code":"invalid_api_key"}}"#,
                Misconfigured,
            ),
            (
                r#"{"error":{"message":"x","type":"invalid_request_error","code":"model_not_found"}}"#,
                Misconfigured,
            ),
            (
                r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                Misconfigured,
            ),
            (
                r#"{"error":{"message":"x","type":"tokens","code":"rate_limit_exceeded"}}"#,
                Busy,
            ),
            (
                r#"{"error":{"message":"x","type":null,"code":"content_filter"}}"#,
                Refused,
            ),
            (
                r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
                TooLong,
            ),
            (
                r#"{"error":{"message":"x","type":"server_error"}}"#,
                Unavailable,
            ),
            // OpenRouter and LiteLLM have statuses as codes.
            (r#"{"error":{"message":"x","code":401}}"#, Misconfigured),
            (r#"{"error":{"message":"x","code":"429"}}"#, Busy),
            (r#"{"error":{"message":"x","code":502}}"#, Unavailable),
            (
                r#"{"error":{"message":"x","code":403,"metadata":{"flagged_input":"y"}}}"#,
                Refused,
            ),
            // Anthropic, vLLM, llama.cpp, Gemini.
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#,
                Busy,
            ),
            (
                r#"{"object":"error","message":"x","type":"NotFoundError","code":404}"#,
                Misconfigured,
            ),
            (
                r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
                Unavailable,
            ),
            (
                r#"[{"error":{"code":8,"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#,
                Busy,
            ),
            // LM Studio.
            (
                r#"{"error":"Unexpected endpoint or method. (POST /chat/completions)"}"#,
                Misconfigured,
            ),
            // Unknown names.
            (
                r#"{"error":{"message":"x","code":"1210","type":"strange"}}"#,
                Unavailable,
            ),
            ("x", Unavailable),
        ] {
            let error = reported_error(body, &Redactor::default());
            assert_eq!(error.reason, reason, "{body}");
        }
    }
}
