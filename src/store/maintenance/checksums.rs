//! Verifies that each page of a file is as redb wrote it, before the file is copied.
//!
//! redb verifies no checksum when it reads, and our own checksums cover only values. A flipped bit
//! in a key, or in an inner page, yields other rows, or fewer, without an error, and a copy of
//! these would be sound by all checksums. So what is copied is verified first.
//!
//! An undecodable record invalidates the checksum of its page as well, but is no reason to refuse a
//! copy, which quarantines it. To distinguish the two, such records are rewritten unchanged in a
//! view of the file, so that their pages get new checksums. If all pages verify then, nothing else
//! was damaged.

use redb::{Database, Key, ReadableTable as _, TableDefinition, WriteTransaction};

use crate::domain::time::Timestamp;
use crate::store::error::OpenError;
use crate::store::file::panic_guard::{PanicSafe, guard};
use crate::store::quarantine::location::UNKNOWN_OWNER;
use crate::store::schema::record;
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, REMOTE_SESSIONS, SESSIONS,
    SUBMIT_KEYS, meta,
};

/// With more damaged records than this, damage to other parts of pages is not ruled out.
const MAX_DAMAGED: usize = 10_000;

/// Fails if a page is damaged other than in undecodable records; returns the verified view. `open`
/// opens a view of the file.
pub(crate) fn require_sound(
    open: &dyn Fn() -> Result<Database, OpenError>,
) -> Result<PanicSafe, OpenError> {
    let mut view = PanicSafe::new(open()?);
    let Err(damage) = verify(&mut view) else {
        return Ok(view);
    };
    drop(view);
    if !damage.is_damage() {
        return Err(damage);
    }
    // After a failed check redb writes to a database only once it has been reopened.
    let mut view = PanicSafe::new(open()?);
    match view.write(rewrite_damaged) {
        Ok(0) => Err(damage),
        Ok(_) => verify(&mut view).map(|()| view),
        Err(error) if error.is_damage() => Err(damage),
        Err(error) => Err(error),
    }
}

/// Verifies all checksums; returns whether redb had nothing to repair.
pub(crate) fn check(database: &mut PanicSafe) -> Result<bool, OpenError> {
    guard(|| Ok(database.get_mut()?.check_integrity()?))
}

/// Fails if the checksum of a page does not match.
pub(crate) fn verify(database: &mut PanicSafe) -> Result<(), OpenError> {
    match check(database) {
        // A repair concerns only the list of free pages, which is not copied.
        Ok(_) => Ok(()),
        Err(OpenError::Damaged(reason)) => Err(OpenError::Damaged(format!("pages: {reason}"))),
        Err(error) => Err(error),
    }
}

/// Rewrites the undecodable records unchanged; returns how many there are.
fn rewrite_damaged(txn: &WriteTransaction) -> Result<usize, OpenError> {
    let owner = UNKNOWN_OWNER;
    let rewritten = [
        rewrite(txn, SESSIONS, |_, bytes| {
            record::decode_session(owner, bytes).is_ok()
        })?,
        rewrite(txn, MESSAGES, |(_, at), bytes| {
            record::borrow_message(owner, Timestamp(at), bytes).is_ok()
        })?,
        rewrite(txn, OPEN_TURNS, |(_, position), bytes| {
            record::decode_turn(owner, position, bytes).is_ok()
        })?,
        rewrite(txn, CREATE_KEYS, |_, bytes| {
            record::decode_claim(bytes).is_ok()
        })?,
        rewrite(txn, MESSAGE_KEYS, |_, bytes| {
            record::decode_time(bytes).is_ok()
        })?,
        rewrite(txn, SUBMIT_KEYS, |_, bytes| {
            record::decode_key_time(bytes).is_ok()
        })?,
        rewrite(txn, REMOTE_SESSIONS, |_, bytes| {
            record::decode_remote_session(bytes).is_ok()
        })?,
        rewrite(txn, DAMAGED, |_, bytes| {
            record::decode_quarantined(owner, "", bytes).is_ok()
        })?,
        rewrite(txn, META, |name, bytes| match name {
            meta::SCHEMA | meta::CLEAN_STOP => record::decode_number(bytes).is_ok(),
            _ => record::decode_counter(bytes).is_ok(),
        })?,
    ];
    Ok(rewritten.iter().sum())
}

fn rewrite<K: Key + 'static>(
    txn: &WriteTransaction,
    definition: TableDefinition<K, &'static [u8]>,
    is_valid: impl Fn(K::SelfType<'_>, &[u8]) -> bool,
) -> Result<usize, OpenError> {
    let mut table = txn.open_table(definition)?;
    let mut damaged = Vec::new();
    for row in table.iter()? {
        let (key, bytes) = row?;
        if is_valid(key.value(), bytes.value()) {
            continue;
        }
        if damaged.len() == MAX_DAMAGED {
            return Err(OpenError::Damaged("too many records are damaged".into()));
        }
        let key = K::as_bytes(&key.value()).as_ref().to_vec();
        damaged.push((key, bytes.value().to_vec()));
    }
    for (key, bytes) in &damaged {
        table.insert(K::from_bytes(key), bytes.as_slice())?;
    }
    Ok(damaged.len())
}
