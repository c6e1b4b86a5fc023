use proptest::prelude::*;

use super::fields::time;
use super::*;
use crate::domain::archive::{
    ArchivedKey, ArchivedMessage, ArchivedSession, CreateKeyUse, Quarantined,
};
use crate::domain::continued::ContinuedFrom;
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::timeout::TimeoutConfig;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::SubmittedError;

fn at() -> impl Strategy<Value = Timestamp> {
    (-60_000_000_000_000_i64..250_000_000_000_000).prop_map(Timestamp)
}

fn object() -> impl Strategy<Value = String> {
    any::<(String, f64)>().prop_map(|(text, number)| {
        serde_json::json!({ "text": text, "number": number, "more": [null, true] }).to_string()
    })
}

fn key() -> impl Strategy<Value = IdempotencyKey> {
    "[!-~]{1,255}".prop_map(|text| IdempotencyKey::parse(&text).unwrap())
}

fn session() -> impl Strategy<Value = Item> {
    let times = proptest::array::uniform7(at());
    let ids = any::<[u128; 3]>();
    (
        ids,
        times,
        object(),
        proptest::option::of(key()),
        any::<([u32; 4], bool, bool)>(),
        any::<[u8; 32]>(),
        any::<(Option<String>, Option<(u128, Option<u128>, u32, bool)>)>(),
    )
        .prop_map(
            |(ids, times, metadata, create_key, numbers, digest, (remote_session, continued))| {
                let (numbers, auto_renew, has_claim) = numbers;
                let claim = CreateKeyUse {
                    created_at: times[6],
                    digest: RequestDigest(digest),
                };
                let continued_from =
                    continued.map(|(source, message, copied, complete)| ContinuedFrom {
                        session_id: SessionId::from(source),
                        message_id: message.map(MessageId::from),
                        copied,
                        complete,
                    });
                Item::Session(ArchivedSession {
                    session: Session {
                        id: SessionId::from(ids[0]),
                        agent_id: AgentId::from(ids[1]),
                        user_id: UserId::from(ids[2]),
                        created_at: times[0],
                        last_activity: times[1],
                        window_start: times[2],
                        expires_at: times[3],
                        warn_at: times[4],
                        scheduled_at: times[5],
                        timeout: TimeoutConfig {
                            timeout_minutes: numbers[0],
                            auto_renew,
                            max_duration_minutes: numbers[1],
                            warning_threshold_minutes: numbers[2],
                        },
                        renewal_count: numbers[3],
                        metadata,
                        create_key,
                        continued_from,
                    },
                    create_key_use: has_claim.then_some(claim),
                    remote_session,
                })
            },
        )
}

fn reason() -> impl Strategy<Value = FailureReason> {
    prop::sample::select(FailureReason::ALL.to_vec())
}

fn turn_state() -> impl Strategy<Value = TurnState> {
    prop_oneof![
        Just(TurnState::Open),
        Just(TurnState::Copied),
        at().prop_map(TurnState::Replied),
        (any::<(String, String)>(), prop::option::of(reason())).prop_map(
            |((code, message), reason)| {
                TurnState::Failed(TurnFailure {
                    code,
                    message,
                    reason,
                })
            }
        ),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    let user = (any::<(u128, u128, bool, Option<String>)>(), turn_state()).prop_map(
        |((turn_id, reply_id, by_socket, name), turn)| Role::User {
            turn_id: TurnId::from(turn_id),
            reply_id: MessageId::from(reply_id),
            sender: Sender { by_socket, name },
            turn,
        },
    );
    let agent =
        any::<(Option<u128>, Option<String>, bool)>().prop_map(|(to, thought, acts)| Role::Agent {
            in_reply_to: to.map(MessageId::from),
            thought,
            actions: acts.then(|| r#"["REPLY"]"#.to_owned()),
        });
    prop_oneof![user, agent]
}

fn message() -> impl Strategy<Value = Item> {
    let ids = any::<[u128; 3]>();
    let turn = proptest::option::of((any::<(u32, bool, u8)>(), proptest::option::of(at())));
    (
        (ids, at(), any::<String>(), proptest::option::of(object())),
        (
            role(),
            proptest::collection::vec((key(), any::<Option<[u8; 32]>>()), 0..3),
            turn,
            proptest::collection::vec(error(), 0..2),
        ),
    )
        .prop_map(
            |((ids, at, content, metadata), (role, keys, turn, errors))| {
                let message = Message {
                    id: MessageId::from(ids[0]),
                    session_id: SessionId::from(ids[1]),
                    author_id: uuid::Uuid::from_u128(ids[2]),
                    created_at: at,
                    body: Body {
                        content,
                        metadata,
                        attachments: None,
                    },
                    role,
                };
                let turn = turn.filter(|_| !message.is_agent());
                let turn = turn.map(|((position, begun, crashes), waits_until)| OpenTurn {
                    session_id: message.session_id,
                    position,
                    message_at: at,
                    begun,
                    running: false,
                    crashes,
                    waits_until,
                });
                let keys = keys.into_iter().map(|(key, digest)| ArchivedKey {
                    key,
                    session_metadata: digest.filter(|_| message.is_agent()).map(RequestDigest),
                });
                let keys = keys.collect();
                let errors = if message.is_agent() {
                    Vec::new()
                } else {
                    errors
                };
                Item::Message(ArchivedMessage {
                    message,
                    keys,
                    turn,
                    errors,
                })
            },
        )
}

fn error() -> impl Strategy<Value = SubmittedError> {
    let texts = (
        any::<String>(),
        any::<Option<String>>(),
        any::<bool>(),
        any::<Option<[u8; 32]>>(),
    );
    let ids = proptest::collection::vec(any::<u128>(), 0..3);
    (key(), texts, proptest::option::of(object()), ids).prop_map(
        |(key, (message, thought, acts, digest), metadata, failed)| SubmittedError {
            key,
            message,
            metadata,
            attachments: acts.then(|| r#"[{"type":"x","url":"y"}]"#.to_owned()),
            thought,
            actions: acts.then(|| r#"["REPLY"]"#.to_owned()),
            session_metadata: digest.map(RequestDigest),
            failed: failed.into_iter().map(MessageId::from).collect(),
        },
    )
}

fn quarantined() -> impl Strategy<Value = Item> {
    let texts = any::<(u128, String, String, Vec<u8>)>();
    (texts, at(), proptest::option::of(at())).prop_map(
        |((owner, location, reason, bytes), found_at, expires_at)| {
            Item::Quarantined(Quarantined {
                owner: SessionId::from(owner),
                location,
                reason,
                found_at,
                expires_at,
                bytes,
            })
        },
    )
}

proptest! {
    #[test]
    fn an_item_round_trips_through_its_line(
        item in prop_oneof![
            session(),
            message(),
            quarantined(),
            any::<u128>().prop_map(|id| Item::Deleted(SessionId::from(id))),
        ],
    ) {
        let text = line(&item);
        prop_assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
        let parsed = parse(text.trim_end_matches('\n'));
        prop_assert_eq!(parsed.as_ref(), Ok(&item));
        prop_assert_eq!(line(&parsed.unwrap()), text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = parse(&text);
    }
}

#[test]
fn errors_describe_what_is_wrong_with_a_line() {
    for (text, reason) in [
        ("", "EOF"),
        ("{}", "missing field `type`"),
        (r#"{"type":"agent"}"#, "known are session"),
        (
            r#"{"type":"deleted","sessionId":"x"}"#,
            "sessionId is not a UUID",
        ),
        (
            r#"{"type":"deleted","sessionId":"x","more":1}"#,
            "unknown field",
        ),
        (
            r#"{"type":"damaged","sessionId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44","record":"r",
                "reason":"","foundAt":"2024-01-15T10:30:45.123Z","bytes":"0g"}"#,
            "bytes is not hexadecimal",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

const MESSAGE: &str = r#"{"type":"message","sessionId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44",
    "id":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d45","authorId":"018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d46",
    "createdAt":"2024-01-15T10:30:45.123Z","content":CONTENT,"metadata":METADATA,
    "attachments":ATTACHMENTS,"agent":{"thought":"hm","actions":ACTIONS}}"#;

/// Returns the line of a message, with its placeholders in capitals replaced.
fn message_with(values: &[(&str, &str)]) -> String {
    let usual = [
        ("CONTENT", r#""x""#),
        ("METADATA", "{}"),
        ("ATTACHMENTS", "[]"),
        ("ACTIONS", "[]"),
    ];
    let values = values.iter().chain(&usual);
    values.fold(MESSAGE.to_owned(), |line, (name, value)| {
        line.replace(name, value)
    })
}

#[test]
fn unpaired_surrogates_are_stored_as_replacement_characters() {
    let cut = r#""\ud83c""#;
    let line = message_with(&[
        ("CONTENT", cut),
        ("METADATA", &format!(r#"{{"note": {cut}, {cut}: 1}}"#)),
        ("ATTACHMENTS", &format!("[{{\"name\": {cut}}}]")),
        ("ACTIONS", &format!("[{cut}]")),
    ]);
    let Ok(Item::Message(read)) = parse(&line) else {
        panic!("{:?}", parse(&line));
    };
    let Role::Agent { actions, .. } = &read.message.role else {
        panic!("{read:?}");
    };
    assert_eq!(read.message.body.content, "\u{fffd}");
    for (text, expected) in [
        (
            &read.message.body.metadata,
            serde_json::json!({ "note": "\u{fffd}", "\u{fffd}": 1 }),
        ),
        (
            &read.message.body.attachments,
            serde_json::json!([{ "name": "\u{fffd}" }]),
        ),
        (actions, serde_json::json!(["\u{fffd}"])),
    ] {
        let text = text.as_deref().unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(text).unwrap(),
            expected
        );
    }
    assert_eq!(parse(&line_of(&read)).unwrap(), Item::Message(read));
}

fn line_of(message: &ArchivedMessage) -> String {
    line(&Item::Message(message.clone()))
}

#[test]
fn values_that_could_not_be_read_again_are_not_imported() {
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    for (name, value, said) in [
        ("METADATA", "[]", "metadata is not a JSON object"),
        (
            "METADATA",
            r#"{"a":1e400}"#,
            "metadata: a number is beyond the range",
        ),
        ("ATTACHMENTS", "{}", "attachments is not a JSON array"),
        (
            "ATTACHMENTS",
            "[-1e999]",
            "attachments: a number is beyond the range",
        ),
        (
            "ATTACHMENTS",
            &deep("[", "]"),
            "attachments: it is nested more than 127 levels",
        ),
        ("ACTIONS", "7", "agent.actions is not a JSON array"),
        (
            "ACTIONS",
            r#"[{"$serde_json::private::RawValue":"[1]"}]"#,
            "which is reserved",
        ),
        (
            "ACTIONS",
            "[1e400]",
            "agent.actions: a number is beyond the range",
        ),
        (
            "METADATA",
            &format!("{{\"a\":{}}}", deep("[", "]")),
            "metadata: it is nested more",
        ),
    ] {
        let error = parse(&message_with(&[(name, value)])).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    assert!(parse(&deep("[", "]")).is_err());
}

#[test]
fn a_duplicate_name_is_refused_and_reported() {
    let line = r#"{"type":"deleted","sessionId":"x","sessionId":"y"}"#;
    let error = parse(line).unwrap_err();
    assert!(
        error.starts_with("duplicate field `sessionId` at column"),
        "{error}"
    );
}

#[test]
fn a_time_must_be_canonical() {
    assert!(time("at", "2024-01-15T10:30:45.123Z").is_ok());
    for text in ["2024-01-15T10:30:45Z", "2024-01-15T10:30:45.1234Z", "1"] {
        assert!(time("at", text).is_err(), "{text}");
    }
}

#[test]
fn only_a_session_that_has_expired_may_outlive_its_timeouts() {
    let expires_at = Timestamp(1_796_025_600_000);
    let checked = |now| {
        let line = serde_json::json!({
            "type": "session", "sessionId": "4d6f042f-f711-402b-8f0d-bef99f2ecb4d",
            "agentId": "b850bc30-45f8-0041-a00a-83df46d8555d",
            "userId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "createdAt": "2024-01-15T10:30:45.123Z", "lastActivity": "2024-01-16T10:30:45.123Z",
            "windowStart": "2024-01-15T10:30:45.123Z", "expiresAt": expires_at.to_string(),
            "warnAt": expires_at.to_string(), "scheduledAt": expires_at.to_string(),
            "timeoutConfig": { "timeoutMinutes": 30, "autoRenew": true,
                               "maxDurationMinutes": 720, "warningThresholdMinutes": 5 },
            "renewalCount": 0, "metadata": {},
        });
        let lines = [(1, parse(&line.to_string()))].into_iter();
        let (_, item) = within_bounds(lines, now).next().unwrap();
        item.map(drop)
    };
    assert_eq!(checked(expires_at), Ok(()));
    let reason = checked(Timestamp(expires_at.0 - 1)).unwrap_err();
    assert!(
        reason.contains("windowStart and timeoutMinutes allow"),
        "{reason}"
    );
}
