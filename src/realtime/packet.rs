//! The packets of Socket.IO (protocol version 5) that this server uses: one namespace, no binary
//! data.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json;

/// The path of Socket.IO requests.
pub const PATH: &str = "/socket.io";

/// The namespace that clients connect to.
const NAMESPACE: &str = "/";

/// The longest name of another namespace that is answered, in bytes.
const MAX_NAMESPACE: usize = 255;

/// A packet of a client.
#[derive(Debug, PartialEq)]
pub(super) enum Packet {
    /// CONNECT with its `auth`.
    Connect(Value),
    Disconnect,
    Event {
        /// The event, or why it is invalid.
        event: Result<ClientEvent, String>,
        /// The id of the acknowledgement, if the client expects one.
        ack: Option<u64>,
    },
    /// CONNECT to an unknown namespace.
    OtherNamespace(String),
    /// A packet that needs no answer, or of an unknown namespace.
    Ignored,
}

/// An event of a client. Its data is parsed only when it is handled: parsed JSON can take many
/// times the memory of its text.
#[derive(Debug, PartialEq)]
pub(super) struct ClientEvent {
    pub(super) name: String,
    /// The first argument as JSON text; `null` if there is none.
    pub(super) data: String,
}

/// A packet that a client must not send. It ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Parses a packet.
///
/// # Errors
/// The packet is not one that clients send. An event with invalid data is a [`Packet::Event`] with
/// the reason, for the client.
pub(super) fn parse(text: &str) -> Result<Packet, Malformed> {
    let kind = text.chars().next().ok_or(Malformed)?;
    let rest = &text[kind.len_utf8()..];
    let is_binary = matches!(kind, '5' | '6');
    let rest = if is_binary {
        let (attachments, rest) = rest.split_once('-').ok_or(Malformed)?;
        attachments.parse::<u64>().map_err(|_| Malformed)?;
        rest
    } else {
        rest
    };
    let (namespace, rest) = namespace(rest);
    let is_ours = namespace == NAMESPACE;
    match kind {
        // An invalid `auth` counts as none: the client is refused for missing credentials.
        '0' if is_ours => Ok(Packet::Connect(
            json::from_js(rest.as_bytes()).unwrap_or_default(),
        )),
        '1' if is_ours => Ok(Packet::Disconnect),
        '2' | '5' if is_ours => {
            let (ack, data) = ack(rest)?;
            let event = event(data, is_binary);
            Ok(Packet::Event { event, ack })
        }
        '0' if namespace.len() <= MAX_NAMESPACE => Ok(Packet::OtherNamespace(namespace.to_owned())),
        '0'..='3' | '5' | '6' => Ok(Packet::Ignored),
        _ => Err(Malformed),
    }
}

/// Splits off the namespace, which begins with a slash and ends with a comma or the packet.
fn namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return (NAMESPACE, text);
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    // A query, as older clients send it, is not part of the name.
    let name = namespace.split('?').next().unwrap_or_default();
    (name, rest)
}

fn ack(text: &str) -> Result<(Option<u64>, &str), Malformed> {
    let end = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    Ok((Some(digits.parse().map_err(|_| Malformed)?), rest))
}

fn event(text: &str, is_binary: bool) -> Result<ClientEvent, String> {
    let text = json::well_formed(text.as_bytes());
    let parts: Parts<'_> = serde_json::from_slice(&text).map_err(|error| {
        format!("the event must be a JSON array that begins with its name: {error}")
    })?;
    if is_binary {
        return Err("events cannot have binary data".into());
    }
    Ok(ClientEvent {
        name: parts.name,
        data: parts.data.map_or("null", RawValue::get).to_owned(),
    })
}

/// The array of an event: its name and arguments.
struct Parts<'a> {
    name: String,
    data: Option<&'a RawValue>,
}

/// The name of an event. Some clients send numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(u64),
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Parts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Parts<'de>, A::Error> {
                let name = match items.next_element()? {
                    Some(Name::Text(name)) => name,
                    Some(Name::Number(number)) => number.to_string(),
                    None => return Err(serde::de::Error::custom("it has no name")),
                };
                let data = items.next_element()?;
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Parts { name, data })
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

/// Returns the answer to a CONNECT.
pub(super) fn connected(sid: &str) -> String {
    format!("0{}", serde_json::json!({ "sid": sid }))
}

/// Returns the answer to a refused CONNECT.
pub(super) fn refused(reason: &str) -> String {
    format!("4{}", serde_json::json!({ "message": reason }))
}

/// Returns the answer to a CONNECT to an unknown namespace.
pub(super) fn no_namespace(name: &str) -> String {
    let reason = serde_json::json!({ "message": "Invalid namespace" });
    format!("4{name},{reason}")
}

/// Returns the packet of an event.
///
/// # Errors
/// The payload cannot be serialized.
pub(super) fn emitted<T: Serialize>(name: &str, payload: &T) -> serde_json::Result<String> {
    Ok(format!("2{}", serde_json::to_string(&(name, payload))?))
}

/// Returns the acknowledgement of a client's event.
pub(super) fn acknowledged(ack: u64, body: Option<&Value>) -> String {
    match body {
        Some(body) => format!("3{ack}[{body}]"),
        None => format!("3{ack}[]"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn parse_event(text: &str) -> (String, Value, Option<u64>) {
        let Ok(Packet::Event { event, ack }) = parse(text) else {
            panic!("{text} is an event");
        };
        let event = event.unwrap();
        let data = json::from_js(event.data.as_bytes()).unwrap();
        (event.name, data, ack)
    }

    #[rstest]
    #[case::plain(r#"2["join",{"a":1}]"#, "join", json!({"a": 1}), None)]
    #[case::no_data(r#"2["join"]"#, "join", json!(null), None)]
    #[case::more_data(r#"2["join",1,{},[2]]"#, "join", json!(1), None)]
    #[case::with_a_callback(r#"217["join",{}]"#, "join", json!({}), Some(17))]
    #[case::named_namespace(r#"2/,17["join",{}]"#, "join", json!({}), Some(17))]
    #[case::number_for_a_name("2[1,{}]", "1", json!({}), None)]
    #[case::half_a_character(
        r#"2["2",{"message":"Great news \ud83c"}]"#,
        "2",
        json!({"message": "Great news \u{fffd}"}),
        None
    )]
    fn events_are_parsed(
        #[case] text: &str,
        #[case] name: &str,
        #[case] data: Value,
        #[case] ack: Option<u64>,
    ) {
        assert_eq!(parse_event(text), (name.to_owned(), data, ack));
    }

    #[rstest]
    #[case::bare("0", json!(null))]
    #[case::with_auth(r#"0{"token":"x"}"#, json!({"token": "x"}))]
    #[case::named_namespace(r#"0/,{"token":"x"}"#, json!({"token": "x"}))]
    #[case::query_of_older_clients(r#"0/?a=1,{"token":"x"}"#, json!({"token": "x"}))]
    #[case::invalid_auth(r#"0{"token"#, json!(null))]
    fn connects_are_parsed(#[case] text: &str, #[case] auth: Value) {
        assert_eq!(parse(text), Ok(Packet::Connect(auth)));
    }

    #[rstest]
    #[case("1")]
    #[case("1/,")]
    fn disconnects_are_parsed(#[case] text: &str) {
        assert_eq!(parse(text), Ok(Packet::Disconnect));
    }

    #[rstest]
    #[case(&format!("0/{}", "x".repeat(255)))]
    #[case(r#"2/admin,["join"]"#)]
    #[case("3[]")]
    #[case("37[1]")]
    #[case(r#"61-7[{"_placeholder":true,"num":0}]"#)]
    fn packets_that_need_no_answer_are_ignored(#[case] text: &str) {
        assert_eq!(parse(text), Ok(Packet::Ignored));
    }

    #[rstest]
    #[case(r#"0/admin,{"token":"x"}"#)]
    #[case("0/admin")]
    #[case("0/admin?a=1")]
    fn another_namespace_is_named(#[case] text: &str) {
        assert_eq!(parse(text), Ok(Packet::OtherNamespace("/admin".into())));
    }

    #[rstest]
    #[case("")]
    #[case("4{}")]
    #[case("9")]
    #[case("é")]
    #[case("5-[]")]
    #[case("5x-[]")]
    #[case("5[]")]
    #[case("299999999999999999999[]")]
    fn unknown_packets_are_malformed(#[case] text: &str) {
        assert_eq!(parse(text), Err(Malformed));
    }

    #[rstest]
    #[case::nothing("2")]
    #[case::cut_off(r#"2["join""#)]
    #[case::no_array(r#"2{"join":1}"#)]
    #[case::no_name("2[]")]
    #[case::no_name_but_data("2[null]")]
    #[case::sign("2-1[\"join\"]")]
    #[case::binary(r#"51-["join",{"_placeholder":true,"num":0}]"#)]
    fn an_invalid_event_gives_the_reason(#[case] text: &str) {
        let Ok(Packet::Event { event, .. }) = parse(text) else {
            panic!("{text} is an event");
        };
        assert!(!event.unwrap_err().is_empty(), "{text}");
    }

    #[test]
    fn packets_are_encoded_as_clients_expect() {
        assert_eq!(connected("a"), r#"0{"sid":"a"}"#);
        assert_eq!(refused("No."), r#"4{"message":"No."}"#);
        assert_eq!(no_namespace("/a"), r#"4/a,{"message":"Invalid namespace"}"#);
        assert_eq!(emitted("x", &json!({"a": 1})).unwrap(), r#"2["x",{"a":1}]"#);
        assert_eq!(acknowledged(7, Some(&json!({"a": 1}))), r#"37[{"a":1}]"#);
        assert_eq!(acknowledged(7, None), "37[]");
    }
}
