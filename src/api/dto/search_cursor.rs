//! The cursors of searches.
//!
//! A cursor is the position as hex digits, followed by a checksum over it and the conditions of the
//! search. So a cursor that was not given out, or for another search, is refused. It needs no
//! secret: a position reveals and permits nothing, since every page applies the conditions and the
//! client's rights anew; and cursors stay valid over a restart.

use sha2::{Digest as _, Sha256};

use crate::app::{SessionFilter, SessionText, StatusFilter};
use crate::domain::id::SessionId;
use crate::domain::search::{MessageFilter, SearchPosition, SearchText};
use crate::domain::time::Timestamp;

/// The length of a session's id.
const SESSION: usize = 16;
/// The length of the checksum.
const CHECKSUM: usize = 8;

/// The conditions of a list of sessions that a text finds.
pub(in crate::api) type SessionConditions<'a> = (&'a SessionText, SessionFilter, StatusFilter);

/// Returns the cursor of the page of messages after a position.
pub(in crate::api) fn search_cursor(position: SearchPosition, filter: &MessageFilter) -> String {
    let mut bytes = position.session.0.as_bytes().to_vec();
    bytes.extend(position.at.0.to_be_bytes());
    cursor(bytes, &of_messages(filter))
}

/// Returns the position of a cursor of this search.
pub(super) fn search_position(cursor: &str, filter: &MessageFilter) -> Option<SearchPosition> {
    let bytes = position(cursor, &of_messages(filter))?;
    let (session, at) = bytes.split_at_checked(SESSION)?;
    Some(SearchPosition {
        session: SessionId::from(u128::from_be_bytes(session.try_into().ok()?)),
        at: Timestamp(i64::from_be_bytes(at.try_into().ok()?)),
    })
}

/// Returns the cursor of the page of found sessions below a session.
pub(in crate::api) fn session_cursor(
    session: SessionId,
    conditions: &SessionConditions<'_>,
) -> String {
    cursor(session.0.as_bytes().to_vec(), &of_sessions(conditions))
}

/// Returns the session of a cursor of this search.
pub(super) fn session_position(
    cursor: &str,
    conditions: &SessionConditions<'_>,
) -> Option<SessionId> {
    let bytes = position(cursor, &of_sessions(conditions))?;
    Some(u128::from_be_bytes(bytes.try_into().ok()?).into())
}

fn of_messages(filter: &MessageFilter) -> String {
    let MessageFilter {
        text,
        session,
        author,
        from,
        to,
        user,
        agent,
    } = filter;
    let text = text.as_ref().map(SearchText::as_str);
    format!("{text:?} {session:?} {author:?} {from:?} {to:?} {user:?} {agent:?}")
}

fn of_sessions((text, filter, status): &SessionConditions<'_>) -> String {
    format!("sessions {text:?} {filter:?} {status:?}")
}

/// Returns the cursor of a position in a search with these conditions.
fn cursor(mut position: Vec<u8>, conditions: &str) -> String {
    position.extend(checksum(&position, conditions));
    hex::encode(position)
}

/// Returns the position of a cursor of a search with these conditions.
fn position(cursor: &str, conditions: &str) -> Option<Vec<u8>> {
    let mut bytes = hex::decode(cursor).ok()?;
    let found = bytes.split_off(bytes.len().checked_sub(CHECKSUM)?);
    (found == checksum(&bytes, conditions)).then_some(bytes)
}

fn checksum(position: &[u8], conditions: &str) -> [u8; CHECKSUM] {
    let digest = Sha256::new()
        .chain_update(position)
        .chain_update(conditions)
        .finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&digest[..CHECKSUM]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;

    fn forgeries(cursor: &str) -> [String; 5] {
        [
            String::new(),
            "0".to_owned(),
            cursor[2..].to_owned(),
            cursor.replacen('0', "1", 1),
            format!("{cursor}00"),
        ]
    }

    #[test]
    fn only_a_cursor_of_the_same_message_search_is_accepted() {
        let filter = MessageFilter {
            text: Some(SearchText::new("Hello")),
            ..MessageFilter::default()
        };
        for at in [Timestamp::MIN, Timestamp(-5), Timestamp(1_705_314_645_123)] {
            let session = SessionId::from(7);
            let position = SearchPosition { session, at };
            let cursor = search_cursor(position, &filter);
            assert_eq!(search_position(&cursor, &filter), Some(position));
            assert_eq!(
                search_position(&cursor.to_uppercase(), &filter),
                Some(position)
            );
            let others = [
                MessageFilter::default(),
                MessageFilter {
                    user: Some(UserId::from(1)),
                    ..filter.clone()
                },
                MessageFilter {
                    to: Some(Timestamp(1)),
                    ..filter.clone()
                },
            ];
            for other in others {
                assert_eq!(search_position(&cursor, &other), None, "{other:?}");
            }
            for forged in forgeries(&cursor) {
                assert_eq!(search_position(&forged, &filter), None, "{forged}");
            }
        }
    }

    #[test]
    fn only_a_cursor_of_the_same_session_search_is_accepted() {
        let (hello, none) = (SessionText::new("Hello"), SessionFilter::default());
        let of_user = SessionFilter {
            user: Some(UserId::from(1)),
            ..none
        };
        let conditions = (&hello, none, StatusFilter::All);
        let session = SessionId::from(7);
        let cursor = session_cursor(session, &conditions);
        assert_eq!(session_position(&cursor, &conditions), Some(session));
        let same = SessionText::new("HELLO");
        let found = session_position(&cursor, &(&same, none, StatusFilter::All));
        assert_eq!(found, Some(session));
        for other in [
            (&SessionText::new("Hell"), none, StatusFilter::All),
            (&hello, of_user, StatusFilter::All),
            (&hello, none, StatusFilter::Active),
        ] {
            assert_eq!(session_position(&cursor, &other), None, "{other:?}");
        }
        let uuid = session.to_string();
        for forged in forgeries(&cursor).iter().chain([&uuid]) {
            assert_eq!(session_position(forged, &conditions), None, "{forged}");
        }
    }
}
