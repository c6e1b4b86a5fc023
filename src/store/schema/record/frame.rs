//! The frame of a record, and its encoding.
//!
//! Only this file uses bincode's functions. A value is `[version: 1 byte][crc32 of the rest: 4
//! bytes, little endian][bincode]`. The version is needed because bincode cannot tell an old layout
//! from a new one, the checksum because redb does not verify pages when it reads them. Decoding is
//! limited in size, since a damaged length would otherwise request exabytes.

use bincode::{BorrowDecode, Encode};

/// The version of every record, unless its struct says otherwise.
pub(super) const VERSION: u8 = 1;

pub(super) const HEADER_BYTES: usize = 5;

/// The largest record: a reply of 64 KiB and its metadata fit many times over.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 20;

/// The decoder counts a number at its full width, not at its width in the record.
pub(super) const HEADROOM_BYTES: usize = 1024;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_RECORD_BYTES>,
> = bincode::config::standard().with_limit::<MAX_RECORD_BYTES>();

/// Why stored bytes are not a valid record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The value is shorter than its frame.
    #[error("the record is cut off after {0} bytes")]
    TooShort(usize),
    /// This build does not read the version.
    #[error("the record has the unknown version {0}")]
    UnknownVersion(u8),
    /// The checksum does not match the content.
    #[error("the record's checksum does not match")]
    Checksum,
    /// The content does not have the layout of the record.
    #[error("the record cannot be decoded: {0}")]
    Layout(String),
    /// The record was one of these when it was first read, and has been quarantined since.
    #[error("the record is damaged and has been quarantined")]
    Quarantined,
}

pub(super) fn encode<T: Encode>(record: &T) -> Result<Vec<u8>, RecordError> {
    encode_version(VERSION, record)
}

pub(super) fn encode_version<T: Encode>(version: u8, record: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = vec![0; HEADER_BYTES];
    bincode::encode_into_std_write(record, &mut bytes, CONFIG)
        .map_err(|error| RecordError::Layout(error.to_string()))?;
    // bincode applies its limit to decoders, not to encoders.
    if bytes.len() > MAX_RECORD_BYTES - HEADROOM_BYTES {
        let found = bytes.len();
        return Err(RecordError::Layout(format!("{found} bytes are too many")));
    }
    let crc = crc32fast::hash(&bytes[HEADER_BYTES..]);
    bytes[0] = version;
    bytes[1..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

pub(super) fn decode<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    decode_version(VERSION, bytes)
}

pub(super) fn decode_version<'a, T: BorrowDecode<'a, ()>>(
    expected: u8,
    bytes: &'a [u8],
) -> Result<T, RecordError> {
    let Some((header, content)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(RecordError::TooShort(bytes.len()));
    };
    let [version, crc @ ..] = *header;
    if version != expected {
        return Err(RecordError::UnknownVersion(version));
    }
    if crc32fast::hash(content) != u32::from_le_bytes(crc) {
        return Err(RecordError::Checksum);
    }
    let (record, read) = bincode::borrow_decode_from_slice(content, CONFIG)
        .map_err(|error| RecordError::Layout(error.to_string()))?;
    if read != content.len() {
        let left = content.len() - read;
        return Err(RecordError::Layout(format!("{left} bytes are left over")));
    }
    Ok(record)
}
