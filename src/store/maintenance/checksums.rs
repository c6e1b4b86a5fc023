//! Whether a file can be copied: whether each of its pages is as redb has written it.
//!
//! redb verifies no checksum when it reads. Our own are in the values alone, so that a flipped bit
//! in a key, or in a page that leads to others, gives other rows, or fewer, and no error; and a
//! copy of these is sound by all checksums of its own. So what is copied is verified first.
//!
//! A record that cannot be decoded spoils the checksum of its page as well, and is no reason to
//! refuse a copy, which sets it aside. To tell the two apart, such records are written anew, as
//! they are, to what is only looked at: their pages get new checksums, and if all pages verify
//! then, nothing else was damaged.

use redb::{Database, Key, ReadableTable as _, TableDefinition, WriteTransaction};

use crate::domain::time::Timestamp;
use crate::store::error::OpenError;
use crate::store::file::open::{database_error, shielded};
use crate::store::file::panic_guard::PanicSafe;
use crate::store::quarantine::damage::NOBODY;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS, SUBMIT_KEYS,
    UPSTREAMS, meta,
};
use crate::store::write::writer::begin_write;

/// More damaged records than this are not told apart from damaged pages.
const MAX_DAMAGED: usize = 10_000;

type Decoded = Result<(), RecordError>;

/// Fails where a page is damaged other than in records that cannot be decoded; returns what was
/// verified. `open` opens that, to look at.
pub(in crate::store) fn require_sound(
    open: &dyn Fn() -> Result<Database, OpenError>,
) -> Result<PanicSafe, OpenError> {
    let mut looked = PanicSafe::new(open()?);
    let Err(damage) = verify(&mut looked) else {
        return Ok(looked);
    };
    drop(looked);
    if !damage.is_damage() {
        return Err(damage);
    }
    // After a failed check redb writes to a database only once it is opened anew.
    let mut looked = PanicSafe::new(open()?);
    match shielded(|| renew_damaged(looked.get()?)) {
        Ok(0) => Err(damage),
        Ok(_) => verify(&mut looked).map(|()| looked),
        Err(error) if error.is_damage() => Err(damage),
        Err(error) => Err(error),
    }
}

/// Verifies all checksums; returns whether redb had nothing to mend.
pub(in crate::store) fn check(database: &mut PanicSafe) -> Result<bool, OpenError> {
    shielded(|| {
        let database = database.get_mut()?;
        database.check_integrity().map_err(database_error)
    })
}

/// Fails where a page does not have its checksum.
pub(in crate::store) fn verify(database: &mut PanicSafe) -> Result<(), OpenError> {
    match check(database) {
        // What was mended is which pages are free, and no copy has those.
        Ok(_) => Ok(()),
        Err(OpenError::Damaged(reason)) => Err(OpenError::Damaged(format!("pages: {reason}"))),
        Err(error) => Err(error),
    }
}

/// Writes the records anew that cannot be decoded, as they are; returns how many there are.
fn renew_damaged(database: &Database) -> Result<usize, OpenError> {
    let txn = begin_write(database).map_err(OpenError::Storage)?;
    let renewed = [
        renew(&txn, SESSIONS, |_, bytes| {
            record::decode_session(NOBODY, bytes).map(drop)
        })?,
        renew(&txn, MESSAGES, |(_, at), bytes| {
            record::borrow_message(NOBODY, Timestamp(at), bytes).map(drop)
        })?,
        renew(&txn, OPEN_TURNS, |(_, position), bytes| {
            record::decode_turn(NOBODY, position, bytes).map(drop)
        })?,
        renew(&txn, CREATE_KEYS, |_, bytes| {
            record::decode_claim(bytes).map(drop)
        })?,
        renew(&txn, MESSAGE_KEYS, |_, bytes| {
            record::decode_time(bytes).map(drop)
        })?,
        renew(&txn, SUBMIT_KEYS, |_, bytes| {
            record::decode_time(bytes).map(drop)
        })?,
        renew(&txn, UPSTREAMS, |_, bytes| {
            record::decode_upstream(bytes).map(drop)
        })?,
        renew(&txn, DAMAGED, |_, bytes| {
            record::decode_set_aside(NOBODY, "", bytes).map(drop)
        })?,
        renew(&txn, META, |name, bytes| match name {
            meta::SCHEMA | meta::CLEAN_STOP => record::decode_number(bytes).map(drop),
            _ => record::decode_tally(bytes).map(drop),
        })?,
    ];
    txn.commit()?;
    Ok(renewed.iter().sum())
}

fn renew<K: Key + 'static>(
    txn: &WriteTransaction,
    definition: TableDefinition<K, &'static [u8]>,
    decode: impl Fn(K::SelfType<'_>, &[u8]) -> Decoded,
) -> Result<usize, OpenError> {
    let mut table = txn.open_table(definition)?;
    let mut damaged = Vec::new();
    for row in table.iter()? {
        let (key, bytes) = row?;
        if decode(key.value(), bytes.value()).is_ok() {
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
