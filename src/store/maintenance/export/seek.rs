//! Reading damaged pages, and finding the next readable key.

use redb::{Error, StorageError};

use crate::store::error::{ReadError, ReadResult};
use crate::store::file::panic_guard::catch_panic;

/// Reads pages on which redb may panic.
pub(super) fn guarded<T>(read: impl FnOnce() -> ReadResult<T>) -> ReadResult<T> {
    catch_panic(read).unwrap_or_else(|| Err(damaged("a page is inconsistent")))
}

/// Returns an error for an inconsistent place.
pub(super) fn damaged(reason: &str) -> ReadError {
    StorageError::Corrupted(reason.to_owned()).into()
}

/// Whether other places may still be readable after an error.
pub(super) fn is_local(error: &ReadError) -> bool {
    match error {
        ReadError::Storage(error) => !matches!(**error, Error::DatabaseClosed | Error::PreviousIo),
        ReadError::Closed | ReadError::Record(_) => false,
    }
}

/// Returns the smallest readable key after an unreadable one; none if no key up to `last` is
/// readable. Calls `read` about two hundred times at most.
pub(super) fn next_readable(
    unreadable: u128,
    last: u128,
    read: impl Fn(u128) -> ReadResult<()>,
) -> Option<u128> {
    let is_readable = |key: u128| guarded(|| read(key)).is_ok();
    let (mut last_unreadable, mut step) = (unreadable, 1_u128);
    // Doubles the distance until a key is readable, and then bisects.
    let mut found = loop {
        let key = last_unreadable.saturating_add(step).min(last);
        if key <= last_unreadable {
            return None;
        }
        if is_readable(key) {
            break key;
        }
        last_unreadable = key;
        step = step.saturating_mul(2);
    };
    while found - last_unreadable > 1 {
        let middle = last_unreadable + (found - last_unreadable) / 2;
        if is_readable(middle) {
            found = middle;
        } else {
            last_unreadable = middle;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_readable_key_is_found() {
        for end in [8, 9, 1000, u128::MAX >> 1, u128::MAX] {
            let read = |key| {
                if key < end {
                    return Err(damaged("no"));
                }
                Ok(())
            };
            assert_eq!(next_readable(7, u128::MAX, read), Some(end));
        }
        assert_eq!(next_readable(7, 100, |_| Err(damaged("no"))), None);
        let panics = |key| {
            assert!(key > 50, "on purpose");
            Ok(())
        };
        assert_eq!(next_readable(7, 100, panics), Some(51));
    }
}
