//! Encoding and decoding of records.

use divan::Bencher;
use divan::counter::BytesCount;

use crate::record;
use crate::samples::{NOW, message, session};

#[divan::bench]
fn encode_session(bencher: Bencher<'_, '_>) {
    let session = session();
    bencher.bench(|| record::encode_session(&session).is_ok());
}

#[divan::bench]
fn decode_session(bencher: Bencher<'_, '_>) {
    let session = session();
    let bytes = record::encode_session(&session).unwrap_or_default();
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| record::decode_session(session.id, &bytes).is_ok());
}

#[divan::bench]
fn encode_message(bencher: Bencher<'_, '_>) {
    let message = message(session().id);
    bencher.bench(|| record::encode_message(&message).is_ok());
}

#[divan::bench]
fn decode_message(bencher: Bencher<'_, '_>) {
    let message = message(session().id);
    let bytes = record::encode_message(&message).unwrap_or_default();
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench(|| record::decode_message(message.session_id, NOW, &bytes).is_ok());
}
