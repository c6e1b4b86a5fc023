//! The cursors of message searches.
//!
//! A cursor is the position as hex digits, followed by a checksum over it and the conditions of the
//! search. So a cursor that was not given out, or for another search, is refused. It needs no
//! secret: a position reveals and permits nothing, since every page applies the conditions and the
//! client's rights anew; and cursors stay valid over a restart.

use sha2::{Digest as _, Sha256};

use crate::domain::id::SessionId;
use crate::domain::search::{MessageFilter, SearchPosition, SearchText};
use crate::domain::time::Timestamp;

/// The length of the position: session and time.
const POSITION: usize = 16 + 8;
/// The length of the checksum.
const CHECKSUM: usize = 8;

/// Returns the cursor of the page after a position.
pub(in crate::api) fn search_cursor(position: SearchPosition, filter: &MessageFilter) -> String {
    let mut bytes = [0; POSITION + CHECKSUM];
    bytes[..16].copy_from_slice(position.session.0.as_bytes());
    bytes[16..POSITION].copy_from_slice(&position.at.0.to_be_bytes());
    let checksum = checksum(&bytes[..POSITION], filter);
    bytes[POSITION..].copy_from_slice(&checksum);
    hex::encode(bytes)
}

/// Returns the position of a cursor of this search.
pub(super) fn search_position(cursor: &str, filter: &MessageFilter) -> Option<SearchPosition> {
    let mut bytes = [0; POSITION + CHECKSUM];
    hex::decode_to_slice(cursor, &mut bytes).ok()?;
    let (position, found) = bytes.split_at(POSITION);
    if found != checksum(position, filter) {
        return None;
    }
    let (session, at) = position.split_at(16);
    Some(SearchPosition {
        session: SessionId::from(u128::from_be_bytes(session.try_into().ok()?)),
        at: Timestamp(i64::from_be_bytes(at.try_into().ok()?)),
    })
}

fn checksum(position: &[u8], filter: &MessageFilter) -> [u8; CHECKSUM] {
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
    let conditions = format!("{text:?} {session:?} {author:?} {from:?} {to:?} {user:?} {agent:?}");
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

    #[test]
    fn only_a_cursor_of_the_same_search_is_accepted() {
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
            let forged = cursor.replacen('0', "1", 1);
            for forged in ["", "0", &cursor[2..], &forged, &format!("{cursor}00")] {
                assert_eq!(search_position(forged, &filter), None, "{forged}");
            }
        }
    }
}
