//! Compact JSON, byte for byte as `serde_json` writes it, for what is answered.
//!
//! `serde_json` looks at each byte of a text by itself for what has to be escaped, and so it does
//! with the names of fields, which was a third of a page of messages and a seventh of a session.
//! Here a text is looked over in one go, and goes as it is where nothing has to be escaped, which
//! is nearly always; a field's name is none of that, nor is an id or a time. Whatever is rare is
//! left to `serde_json`.

use serde::Serialize;
use serde::ser;
use serde_json::Error;
use serde_json::value::RawValue;

use crate::domain::plain::PLAIN;

/// Most answers are no larger.
pub(super) const USUAL_BYTES: usize = 1024;

/// As many bytes as any processor of 64 bits looks at in one go.
const PIECE: usize = 16;

/// The name of the newtype around text that is JSON already.
const RAW: &str = "sessiond::Raw";

type Result = std::result::Result<(), Error>;

/// The value as JSON, in a buffer that has `room` for so many bytes to begin with: a page of
/// messages would otherwise be copied at each doubling.
///
/// # Errors
/// Its `Serialize` fails, or a map's key is neither a string nor a number.
pub(super) fn to_vec<T: Serialize + ?Sized>(
    value: &T,
    room: usize,
) -> std::result::Result<Vec<u8>, Error> {
    let mut writer = Writer {
        out: Vec::with_capacity(room),
        is_plain: false,
    };
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

/// Passes on text that is JSON already, here and with any other serializer that knows
/// [`RawValue`].
pub(super) fn raw<S: ser::Serializer>(
    text: &RawValue,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(RAW, text)
}

struct Writer {
    out: Vec<u8>,
    /// Whether the next text is known to have nothing to escape.
    is_plain: bool,
}

impl Writer {
    fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) -> Result {
        let is_known = std::mem::take(&mut self.is_plain);
        debug_assert!(
            !is_known || is_plain(text.as_bytes()),
            "{text:?} needs escapes"
        );
        if !is_known && !is_plain(text.as_bytes()) {
            return self.rare(text);
        }
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
        Ok(())
    }

    fn rare<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        serde_json::to_writer(&mut self.out, value)
    }

    /// Begins an array, an object, or one of these in an object of a variant's name.
    fn begin(&mut self, variant: Option<&'static str>, opening: u8) -> Parts<'_> {
        if let Some(variant) = variant {
            self.name(b"{\"", variant);
        }
        self.out.push(opening);
        Parts {
            writer: self,
            closing: if opening == b'{' { b'}' } else { b']' },
            is_variant: variant.is_some(),
            is_first: true,
        }
    }

    /// The name of a field or a variant, which is a Rust name or one like it, behind what comes
    /// before it: that and the quote are stored in one step.
    #[inline]
    fn name(&mut self, opening: &[u8], name: &'static str) {
        debug_assert!(is_plain(name.as_bytes()), "{name:?} needs escapes");
        self.out.extend_from_slice(opening);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Whether a text stands in JSON as it is. It is looked at in pieces, each of them in one go; the
/// last one begins within the one before, so that no bytes are left over to look at one by one.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<PIECE>() else {
        return !text.iter().any(|byte| needs_escape(*byte));
    };
    let (pieces, _) = text.as_chunks::<PIECE>();
    pieces.iter().all(is_plain_piece) && is_plain_piece(last)
}

#[inline]
fn is_plain_piece(piece: &[u8; PIECE]) -> bool {
    let found = piece
        .iter()
        .fold(0, |found, byte| found | u8::from(needs_escape(*byte)));
    found == 0
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

macro_rules! rare {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result {
            self.rare(&value)
        })*
    };
}

impl<'w> ser::Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'w>;
    type SerializeTuple = Parts<'w>;
    type SerializeTupleStruct = Parts<'w>;
    type SerializeTupleVariant = Parts<'w>;
    type SerializeMap = Parts<'w>;
    type SerializeStruct = Parts<'w>;
    type SerializeStructVariant = Parts<'w>;

    rare! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128, serialize_f32: f32, serialize_f64: f64,
        serialize_char: char, serialize_bytes: &[u8]
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.push(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Result {
        self.text(text)
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.push(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result {
        if name == RAW {
            return self.rare(value);
        }
        self.is_plain = name == PLAIN;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.name(b"{\"", variant);
        value.serialize(&mut *self)?;
        self.push(b"}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(None, b'['))
    }

    fn serialize_tuple(self, _: usize) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(None, b'['))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(None, b'['))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(Some(variant), b'['))
    }

    fn serialize_map(self, _: Option<usize>) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(None, b'{'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(None, b'{'))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> std::result::Result<Parts<'w>, Error> {
        Ok(self.begin(Some(variant), b'{'))
    }
}

/// The parts of an array or an object, one after the other.
struct Parts<'w> {
    writer: &'w mut Writer,
    closing: u8,
    is_variant: bool,
    is_first: bool,
}

impl Parts<'_> {
    fn next(&mut self) -> &mut Writer {
        if !std::mem::take(&mut self.is_first) {
            self.writer.out.push(b',');
        }
        self.writer
    }

    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        value.serialize(self.next())
    }

    // Where it is called, the name is known, and a known name is written in a few steps.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
        let is_first = std::mem::take(&mut self.is_first);
        let writer = &mut *self.writer;
        writer.name(if is_first { b"\"" } else { b",\"" }, name);
        value.serialize(writer)
    }

    fn close(self) {
        self.writer.out.push(self.closing);
        if self.is_variant {
            self.writer.out.push(b'}');
        }
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident),*) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                self.part(value)
            }

            fn end(self) -> Result {
                self.close();
                Ok(())
            }
        })*
    };
}

macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = Error;

            // As [`Parts::field`].
            #[allow(clippy::inline_always)]
            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result {
                self.field(name, value)
            }

            fn end(self) -> Result {
                self.close();
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element, SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field
}

fields! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        let writer = self.next();
        let at = writer.out.len();
        key.serialize(&mut *writer)?;
        match writer.out.get(at) {
            Some(b'"') => Ok(()),
            Some(b'-' | b'0'..=b'9') => {
                writer.out.insert(at, b'"');
                writer.push(b"\"");
                Ok(())
            }
            _ => Err(ser::Error::custom("a key is a string or a number")),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.writer.out.push(b':');
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::time::Timestamp;

    #[derive(Debug, Clone, Serialize)]
    enum Kind {
        Nothing,
        Some(Option<i64>),
        Pair(u8, bool),
        Named { first: char, second: String },
    }

    #[derive(Debug, Clone, Serialize)]
    struct Unit;

    #[derive(Debug, Clone, Serialize)]
    struct Two(String, f64);

    #[derive(Debug, Clone, Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Everything {
        the_text: String,
        number: i64,
        large: u128,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<bool>,
        present: Option<String>,
        kinds: Vec<Kind>,
        unit: Unit,
        two: Two,
        #[serde(flatten)]
        more: BTreeMap<String, f32>,
        numbered: BTreeMap<i16, bool>,
        pair: (u8, String),
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Nothing),
            any::<Option<i64>>().prop_map(Kind::Some),
            any::<(u8, bool)>().prop_map(|(one, other)| Kind::Pair(one, other)),
            any::<(char, String)>().prop_map(|(first, second)| Kind::Named { first, second }),
        ]
    }

    prop_compose! {
        fn everything()(
            (the_text, number, large, absent, present) in any::<(String, i64, u128, Option<bool>, Option<String>)>(),
            kinds in prop::collection::vec(kinds(), 0..4),
            (text, float) in any::<(String, f64)>(),
            more in prop::collection::btree_map("[a-z\"\\\\é\n]{0,9}", any::<f32>(), 0..4),
            numbered in prop::collection::btree_map(any::<i16>(), any::<bool>(), 0..3),
            pair in any::<(u8, String)>(),
        ) -> Everything {
            Everything {
                the_text, number, large, absent, present, kinds, unit: Unit,
                two: Two(text, float), more, numbered, pair,
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(value in everything()) {
            prop_assert_eq!(
                String::from_utf8(to_vec(&value, 0).unwrap()).unwrap(),
                serde_json::to_string(&value).unwrap()
            );
        }

        #[test]
        fn so_is_text_with_a_byte_to_escape_anywhere(
            before in "[ -~]{0,70}", c in any::<char>(), after in "[ -~]{0,70}",
        ) {
            let value = json!({ &before: format!("{before}{c}{after}") });
            prop_assert_eq!(to_vec(&value, 0).unwrap(), serde_json::to_vec(&value).unwrap());
        }

        #[test]
        fn so_are_ids_and_times(id in any::<u128>(), at in any::<i64>()) {
            let value = (SessionId::from(id), Timestamp(at));
            prop_assert_eq!(to_vec(&value, 0).unwrap(), serde_json::to_vec(&value).unwrap());
        }
    }

    #[test]
    fn every_byte_that_needs_an_escape_gets_it() {
        for c in (0..=0x2ff).filter_map(char::from_u32) {
            let text = format!("some text before it {c} and behind");
            let json = to_vec(&text, 0).unwrap();
            assert_eq!(json, serde_json::to_vec(&text).unwrap(), "{c:?}");
        }
    }

    #[test]
    fn json_that_is_there_already_goes_as_it_is() {
        struct Stored(Box<RawValue>);
        impl Serialize for Stored {
            fn serialize<S: ser::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                raw(&self.0, serializer)
            }
        }
        let text = r#"{"b": [1.50, "\u0041"],  "a":null}"#;
        let stored = Stored(RawValue::from_string(text.to_owned()).unwrap());
        assert_eq!(to_vec(&stored, 0).unwrap(), text.as_bytes());
        assert_eq!(serde_json::to_string(&stored).unwrap(), text);
        let value: Value = json!(stored);
        assert_eq!(value, json!({ "b": [1.5, "A"], "a": null }));
    }

    #[test]
    fn a_key_that_is_no_text_is_refused() {
        let map = BTreeMap::from([(vec![1], 2)]);
        assert!(to_vec(&map, 0).is_err());
    }
}
