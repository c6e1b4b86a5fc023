//! Responses, and the properties that every one of them must have.

use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

/// A response with its body as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// Sends a request and reads the response, checking what every response must have.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.expect("the answer is complete");
    check_headers(&headers);
    assert_eq!(headers[CONTENT_TYPE], "application/json", "{text}");
    let body = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).expect("the answer is JSON"),
    };
    let answer = Answer {
        status,
        headers,
        body,
    };
    if status >= 400 && answer.body != Value::Null {
        answer.check_error_form();
    }
    answer
}

/// Asserts the headers that every response must and must not have.
pub(crate) fn check_headers(headers: &HeaderMap) {
    assert!(headers.contains_key("x-request-id"), "{headers:?}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    for banner in ["server", "x-powered-by", "via"] {
        assert!(!headers.contains_key(banner), "{headers:?}");
    }
}

impl Answer {
    /// Asserts the status and returns the answer.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:#}", self.body);
        self
    }

    /// Asserts that this is the given error, and returns its outer details.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, code: &str, kind: &str) -> Value {
        let found = (self.status, &self.body["code"], &self.body["error"]["type"]);
        let wanted = (status, &json!(code), &json!(kind));
        assert_eq!(found, wanted, "{:#}", self.body);
        self.body["details"].clone()
    }

    /// Asserts that this is a 400 of this type, and returns its outer details.
    #[track_caller]
    pub(crate) fn invalid(&self, kind: &str) -> Value {
        self.error(400, "VALIDATION_ERROR", kind)
    }

    /// Returns a header's value, which must be present.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers));
        value.to_str().unwrap()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// Asserts the form that every error has.
    #[track_caller]
    fn check_error_form(&self) {
        let body = &self.body;
        assert_eq!(body["success"], false, "{body:#}");
        assert_eq!(body["error"]["code"], body["code"], "{body:#}");
        assert!(body["details"].is_object(), "{body:#}");
        let error = body["error"].as_object().expect("error is an object");
        let names: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(names, ["code", "type", "message", "details", "timestamp"]);
        for (name, value) in error {
            let text = value.as_str().unwrap_or_default();
            assert!(!text.is_empty(), "error.{name} is a text: {body:#}");
        }
        assert_time(&error["timestamp"]);
        let leaks = ["src/", ".rs", "::", "panicked", "redb", "RUST_BACKTRACE"];
        for leak in leaks {
            assert!(
                !error["details"].as_str().unwrap().contains(leak),
                "{body:#}"
            );
        }
    }
}

/// Asserts that a value is a time as the API writes it.
#[track_caller]
pub(crate) fn assert_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{value}");
}

/// Asserts that a value is a `UUIDv7` in lower case.
#[track_caller]
pub(crate) fn assert_v7(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let id = uuid::Uuid::parse_str(text).unwrap_or_else(|_| panic!("{value} is a UUID"));
    assert_eq!(id.to_string(), text, "lower case");
    assert_eq!(id.get_version_num(), 7, "{text}");
}

/// Returns the names of an object's members, in order.
#[track_caller]
pub(crate) fn names(value: &Value) -> Vec<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("{value} is an object"));
    object.keys().map(String::as_str).collect()
}
