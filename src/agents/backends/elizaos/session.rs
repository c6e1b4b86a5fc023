//! Remote sessions: those that an `ElizaOS` server has for ours.

use std::time::Duration;

use serde_json::Value;

/// The timeout that is requested, in minutes. The server grants at most its own limit (1,440 by
/// default); how long the conversation lives is decided here.
pub(super) const TIMEOUT_MINUTES: u32 = 10_080;

/// The maximum duration that is requested, in minutes.
pub(super) const MAX_DURATION_MINUTES: u32 = 20_160;

/// Longer ids are refused; the server's own have 36 characters.
const MAX_ID_BYTES: usize = 200;

/// Precedes the stored id of a session that has received no message yet.
const UNUSED: char = '+';

/// A remote session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ElizaSession {
    pub(super) id: String,
    /// Whether it has received no message yet, so that its agent does not know the conversation.
    pub(super) is_new: bool,
}

impl ElizaSession {
    /// Parses what is stored of a session.
    pub(super) fn parse(text: &str) -> Self {
        let unused = text.strip_prefix(UNUSED);
        Self {
            id: unused.unwrap_or(text).to_owned(),
            is_new: unused.is_some(),
        }
    }

    /// Returns the text to store.
    pub(super) fn to_text(&self) -> String {
        if self.is_new {
            format!("{UNUSED}{}", self.id)
        } else {
            self.id.clone()
        }
    }

    /// Reads the answer to a session's creation; `None` without a valid id.
    pub(super) fn created(answer: &Value) -> Option<Self> {
        let id = field(answer, "sessionId")?.as_str()?;
        is_id(id).then(|| Self {
            id: id.to_owned(),
            is_new: true,
        })
    }
}

/// Returns a field of a session, which older versions put into `data`.
fn field<'a>(session: &'a Value, name: &str) -> Option<&'a Value> {
    session.get(name).or_else(|| session.get("data")?.get(name))
}

/// Returns how long a session lives without another message, from the answer to its renewal.
pub(super) fn lifetime(session: &Value) -> Option<Duration> {
    let minutes = field(session, "timeoutConfig")?
        .get("timeoutMinutes")?
        .as_f64()?;
    let minutes = minutes.clamp(1.0, f64::from(TIMEOUT_MINUTES));
    Some(Duration::from_mins(1).mul_f64(minutes))
}

/// Returns whether an id needs no escapes in a path.
fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stored_session_is_parsed() {
        for is_new in [true, false] {
            let remote = ElizaSession {
                id: "3c90c3cc-0d44".into(),
                is_new,
            };
            assert_eq!(ElizaSession::parse(&remote.to_text()), remote);
        }
    }

    #[test]
    fn a_renewal_returns_the_lifetime() {
        let renewed = |minutes: Value| json!({ "timeoutConfig": { "timeoutMinutes": minutes } });
        let day = Some(Duration::from_hours(24));
        assert_eq!(lifetime(&renewed(1440.into())), day);
        assert_eq!(lifetime(&json!({ "data": renewed(1440.into()) })), day);
        let longest = Some(Duration::from_secs(u64::from(TIMEOUT_MINUTES) * 60));
        assert_eq!(lifetime(&renewed(1e300.into())), longest);
        assert_eq!(
            lifetime(&renewed((-5).into())),
            Some(Duration::from_mins(1))
        );
        assert_eq!(lifetime(&renewed("x".into())), None);
        assert_eq!(lifetime(&json!([])), None);
    }
}
