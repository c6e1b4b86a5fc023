//! Entry points for fuzzers of the record decoders.

use super::quarantine;
use super::schema::record;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;

/// Decodes bytes as every kind of record, once as they are and once within a valid frame. A record
/// that decodes must survive another round of encoding and decoding.
pub(crate) fn record(data: &[u8]) {
    decode(data);
    let mut framed = vec![1];
    framed.extend(crc32fast::hash(data).to_le_bytes());
    framed.extend(data);
    decode(&framed);
}

fn decode(bytes: &[u8]) {
    let (id, at) = (SessionId::from(1), Timestamp(2));
    if let Ok(session) = record::decode_session(id, bytes)
        && let Ok(again) = record::encode_session(&session)
    {
        assert_eq!(record::decode_session(id, &again), Ok(session));
    }
    if let Ok(message) = record::decode_message(id, at, bytes)
        && let Ok(again) = record::encode_message(&message)
    {
        assert_eq!(record::decode_message(id, at, &again), Ok(message));
    }
    if let Ok(turn) = record::decode_turn(id, 3, bytes)
        && let Ok(again) = record::encode_turn(&turn)
    {
        assert_eq!(record::decode_turn(id, 3, &again), Ok(turn));
    }
    let _ = record::decode_claim(bytes);
    let _ = record::decode_time(bytes);
    let _ = record::decode_counter(bytes);
    let _ = record::decode_number(bytes);
    let _ = quarantine::quarantined_row(id, "session", bytes);
}
