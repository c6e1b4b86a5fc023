//! Reading where pages may make no sense, and finding the next place that does.

use redb::{Error, StorageError};

use super::Result;
use crate::store::error::ReadError;
use crate::store::file::panic_guard::shielded;

/// Reads, where redb may panic.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    shielded(read).unwrap_or_else(|| Err(damaged("a page makes no sense")))
}

/// What is said of a place that makes no sense.
pub(super) fn damaged(reason: &str) -> ReadError {
    StorageError::Corrupted(reason.to_owned()).into()
}

/// Whether another place may be read although this one cannot be.
pub(super) fn is_of_a_place(error: &ReadError) -> bool {
    match error {
        ReadError::Storage(error) => !matches!(**error, Error::DatabaseClosed | Error::PreviousIo),
        ReadError::Closed | ReadError::Record(_) => false,
    }
}

/// The least place behind one that cannot be read from which on `read` finds something, or the
/// end; none where it never does. It is asked some two hundred times at most.
pub(super) fn next_readable(
    unreadable: u128,
    last: u128,
    read: impl Fn(u128) -> Result<()>,
) -> Option<u128> {
    let is_readable = |place: u128| guarded(|| read(place)).is_ok();
    let (mut behind, mut step) = (unreadable, 1_u128);
    // Twice as far each time, and then back.
    let mut found = loop {
        let place = behind.saturating_add(step).min(last);
        if place <= behind {
            return None;
        }
        if is_readable(place) {
            break place;
        }
        behind = place;
        step = step.saturating_mul(2);
    };
    while found - behind > 1 {
        let middle = behind + (found - behind) / 2;
        if is_readable(middle) {
            found = middle;
        } else {
            behind = middle;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_place_is_found_wherever_it_is() {
        for end in [8, 9, 1000, u128::MAX >> 1, u128::MAX] {
            let read = |place| {
                if place < end {
                    return Err(damaged("no"));
                }
                Ok(())
            };
            assert_eq!(next_readable(7, u128::MAX, read), Some(end));
        }
        assert_eq!(next_readable(7, 100, |_| Err(damaged("no"))), None);
        let panics = |place| {
            assert!(place > 50, "on purpose");
            Ok(())
        };
        assert_eq!(next_readable(7, 100, panics), Some(51));
    }
}
