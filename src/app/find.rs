//! Finds sessions by a text.

use std::sync::Arc;

use super::application::App;
use super::error::AppError;
use super::session_scan::{SessionScan, StatusFilter};
use super::sessions::SessionFilter;
use crate::domain::id::SessionId;
use crate::domain::search::{SearchText, TextMatcher};
use crate::domain::session::Session;
use crate::json;

/// How many hex digits of an id are needed to find it.
const MIN_DIGITS: usize = 4;

/// The number of sessions between two questions whether the time is over: far less than a
/// millisecond.
const CHECK_SESSIONS: usize = 16;

/// A text by which sessions are found: a part of a text in their metadata, or the beginning or the
/// end of their id or their user's id.
#[derive(Debug, Clone)]
pub struct SessionText {
    text: SearchText,
    /// The hex digits of the text, if it can be a part of an id.
    digits: Option<String>,
}

/// A page of found sessions.
#[derive(Debug)]
pub struct FoundSessions {
    /// The sessions, newest first by id.
    pub sessions: Vec<Session>,
    /// The id below which the next page continues; `None` after the last page.
    pub next: Option<SessionId>,
}

impl SessionText {
    /// Prepares a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let digits = text.trim().replace('-', "").to_ascii_lowercase();
        let is_id = digits.len() >= MIN_DIGITS && digits.bytes().all(|it| it.is_ascii_hexdigit());
        Self {
            text: SearchText::new(text),
            digits: is_id.then_some(digits),
        }
    }

    fn matches(&self, matcher: &mut TextMatcher, session: &Session) -> bool {
        let ids = [session.id.0, session.user_id.0];
        let is_part = |digits: &String| {
            ids.iter().any(|id| {
                let id = id.simple().to_string();
                id.starts_with(digits) || id.ends_with(digits)
            })
        };
        self.digits.as_ref().is_some_and(is_part)
            || json::texts(&session.metadata)
                .iter()
                .any(|text| matcher.matches(text))
    }
}

impl App {
    /// Returns a page of the sessions below an id that match a filter and a text. It is short, or
    /// empty, if the time of a scan is over before it is full.
    ///
    /// # Errors
    /// Too many scans wait, or the store fails.
    pub async fn find_sessions(
        self: &Arc<Self>,
        text: SessionText,
        (filter, status): (SessionFilter, StatusFilter),
        below: Option<SessionId>,
        limit: usize,
    ) -> Result<FoundSessions, AppError> {
        self.scan(move |app, timer| async move {
            let mut scan = SessionScan::new(filter, status, below);
            let mut matcher = text.text.matcher();
            let (mut sessions, mut examined, mut next) = (Vec::new(), 0, below);
            while let Some(slice) = scan.next(&app).await? {
                for session in slice {
                    let is_checked = examined > 0 && examined % CHECK_SESSIONS == 0;
                    if sessions.len() == limit || (is_checked && timer.is_over()) {
                        return Ok(FoundSessions { sessions, next });
                    }
                    examined += 1;
                    next = Some(session.id);
                    if text.matches(&mut matcher, &session) {
                        sessions.push(session);
                    }
                }
                next = scan.position().or(next);
                let is_full = sessions.len() == limit;
                if !scan.is_done() && (is_full || timer.is_over()) {
                    return Ok(FoundSessions { sessions, next });
                }
            }
            Ok(FoundSessions {
                sessions,
                next: None,
            })
        })
        .await
    }
}
