//! The sessions that an `ElizaOS` server has for ours.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::ElizaOs;
use super::message::object;
use crate::agents::backend::{BackendError, Progress, TurnRequest};
use crate::agents::client::body::Body;
use crate::agents::client::http_client::{self, Repeat};
use crate::agents::client::redact::Redactor;

/// The longest time without a message that is asked for, in minutes: that server grants less where
/// it has a lower limit (1,440 by default). Ours decides how long the conversation lasts.
const LONGEST_TIMEOUT: u32 = 10_080;

/// The longest life that is asked for, in minutes, in the same way.
const LONGEST_DURATION: u32 = 20_160;

/// The longest name that is taken from it; its own have 36 characters.
const MAX_NAME: usize = 200;

/// Stands before the kept name of a session whose agent has not been asked anything yet.
const UNUSED: char = '+';

/// A session there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// Its name there.
    pub(super) name: String,
    /// Whether it has taken no message yet, so that its agent knows nothing of the conversation.
    pub(super) is_new: bool,
}

impl Remote {
    /// The session whose name was kept.
    pub(super) fn kept(text: &str) -> Self {
        let unused = text.strip_prefix(UNUSED);
        Self {
            name: unused.unwrap_or(text).to_owned(),
            is_new: unused.is_some(),
        }
    }

    /// The text by which it is kept.
    pub(super) fn to_text(&self) -> String {
        if self.is_new {
            format!("{UNUSED}{}", self.name)
        } else {
            self.name.clone()
        }
    }
}

impl ElizaOs {
    /// Makes a session there.
    pub(super) async fn make_session(
        &self,
        request: &TurnRequest,
        redactor: &Redactor,
    ) -> Result<Remote, BackendError> {
        let body = json!({
            "agentId": self.agent_id,
            "userId": request.session.user_id,
            "metadata": object(Some(&request.session.metadata)),
            "timeoutConfig": {
                "timeoutMinutes": LONGEST_TIMEOUT,
                "autoRenew": true,
                "maxDurationMinutes": LONGEST_DURATION,
            },
        });
        let post = self.request(Method::POST, "").json(&body);
        let response = http_client::send(post, redactor, Repeat::ActsTwice).await?;
        let response = http_client::accept(response, redactor, Repeat::ActsTwice).await?;
        // The silence that counts is that in the answer to the message.
        let made = Body::new(response, &Progress::default(), redactor);
        let made: Value = made.json().await?;
        match field(&made, "sessionId").and_then(Value::as_str) {
            Some(name) if is_name(name) => Ok(Remote {
                name: name.to_owned(),
                is_new: true,
            }),
            _ => Err(BackendError::Final(
                "it made a session without an id".into(),
            )),
        }
    }

    /// Renews a session there; returns how long it lives now without a message.
    pub(super) async fn renew_session(
        &self,
        session: &Remote,
    ) -> Result<Option<Duration>, BackendError> {
        let redactor = Redactor::for_key(self.key.as_ref());
        let path = format!("/{}/renew", session.name);
        let post = self.request(Method::POST, &path).json(&json!({}));
        let response = http_client::send(post, &redactor, Repeat::ActsTwice).await?;
        let response = http_client::accept(response, &redactor, Repeat::ActsTwice).await?;
        let body = Body::new(response, &Progress::default(), &redactor);
        Ok(life(&body.json().await?))
    }

    /// Deletes a session there.
    pub(super) async fn delete_session(&self, session: &Remote) -> Result<(), BackendError> {
        let redactor = Redactor::for_key(self.key.as_ref());
        let delete = self.request(Method::DELETE, &format!("/{}", session.name));
        let response = http_client::send(delete, &redactor, Repeat::ActsTwice).await?;
        if super::is_lost(response.status()) {
            return Ok(());
        }
        http_client::accept(response, &redactor, Repeat::ActsTwice).await?;
        Ok(())
    }
}

/// A field of a session, in either of the forms that its versions have.
fn field<'a>(session: &'a Value, name: &str) -> Option<&'a Value> {
    session.get(name).or_else(|| session.get("data")?.get(name))
}

fn life(session: &Value) -> Option<Duration> {
    let minutes = field(session, "timeoutConfig")?
        .get("timeoutMinutes")?
        .as_f64()?;
    let minutes = minutes.clamp(1.0, f64::from(LONGEST_TIMEOUT));
    Some(Duration::from_mins(1).mul_f64(minutes))
}

/// Whether a session's name can stand in a path as it is.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_session_is_kept_as_one() {
        for is_new in [true, false] {
            let remote = Remote {
                name: "3c90c3cc-0d44".into(),
                is_new,
            };
            assert_eq!(Remote::kept(&remote.to_text()), remote);
        }
    }

    #[test]
    fn a_renewal_tells_how_long_the_session_lives() {
        let renewed = |minutes: Value| json!({ "timeoutConfig": { "timeoutMinutes": minutes } });
        let day = Some(Duration::from_hours(24));
        assert_eq!(life(&renewed(1440.into())), day);
        assert_eq!(life(&json!({ "data": renewed(1440.into()) })), day);
        let longest = Some(Duration::from_secs(u64::from(LONGEST_TIMEOUT) * 60));
        assert_eq!(life(&renewed(1e300.into())), longest);
        assert_eq!(life(&renewed((-5).into())), Some(Duration::from_mins(1)));
        assert_eq!(life(&renewed("x".into())), None);
        assert_eq!(life(&json!([])), None);
    }
}
