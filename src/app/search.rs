//! Searches messages.

use std::sync::Arc;

use super::application::App;
use super::error::AppError;
use super::session_ref::{Scope, SessionRef};
use crate::domain::search::{MessageFilter, SearchPosition, SearchText};
use crate::store::{FoundMessage, SearchRequest};

/// The texts of a page end it at this many bytes.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// A validated request for a page of a search.
#[derive(Debug)]
pub struct MessageSearch {
    /// The messages to search.
    pub filter: MessageFilter,
    /// The last message that the previous page examined.
    pub after: Option<SearchPosition>,
    /// The size of the page.
    pub limit: usize,
}

/// A page of a search.
#[derive(Debug)]
pub struct FoundMessages {
    /// The matches, sessions newest first by id, and within a session the newest message first.
    pub messages: Vec<FoundMessage>,
    /// The last message that was examined; `None` after the last page.
    pub next: Option<SearchPosition>,
}

impl App {
    /// Returns a page of the messages that match. It is short, or empty, if the time of a scan is
    /// over before it is full.
    ///
    /// # Errors
    /// The session of the filter is unknown within the scope, too many scans wait, or the store
    /// fails.
    pub async fn search_messages(
        self: &Arc<Self>,
        search: MessageSearch,
        scope: Scope,
    ) -> Result<FoundMessages, AppError> {
        if let Some(session) = search.filter.session {
            let name = session.to_string();
            self.retained_session(self.now(), &SessionRef { name, scope })
                .await?;
        }
        self.scan(move |app, timer| async move {
            let filter = &search.filter;
            let mut matcher = filter.text.as_ref().map(SearchText::matcher);
            let (mut after, mut messages, mut bytes) = (search.after, Vec::new(), 0);
            loop {
                let request = SearchRequest {
                    filter,
                    matcher: &mut matcher,
                    after,
                    limit: search.limit - messages.len(),
                    max_bytes: MAX_PAGE_BYTES.saturating_sub(bytes),
                    now: app.now(),
                    is_over: &|| timer.is_over(),
                };
                let slice = app.store.search(request).await?;
                after = slice.next;
                bytes += slice.bytes;
                messages.extend(slice.found);
                let is_full = messages.len() >= search.limit || bytes >= MAX_PAGE_BYTES;
                if after.is_none() || slice.is_over || is_full {
                    return Ok(FoundMessages {
                        messages,
                        next: after,
                    });
                }
            }
        })
        .await
    }
}
