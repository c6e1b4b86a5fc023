//! Encoded records are decoded unchanged, and nothing else is decoded.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::create_key::decode_old_claim;
use super::frame::{HEADER_BYTES, VERSION};
use super::*;
use crate::domain::continued::ContinuedFrom;
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, MessageId, TurnId, UserId};
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::message::{Body, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::session::Session;
use crate::domain::timeout::TimeoutConfig;
use crate::domain::waiting::SubmittedError;

/// Decodes bytes as every kind of record; returns how many decoders accept them.
fn accepted(bytes: &[u8]) -> usize {
    [
        decode_session(SessionId::from(1), bytes).is_ok(),
        decode_message(SessionId::from(1), Timestamp(1), bytes).is_ok(),
        decode_turn(SessionId::from(1), 0, bytes).is_ok(),
        decode_claim(bytes).is_ok(),
        decode_time(bytes).is_ok(),
        decode_remote_session(bytes).is_ok(),
        decode_counter(bytes).is_ok(),
        decode_number(bytes).is_ok(),
    ]
    .into_iter()
    .filter(|accepted| *accepted)
    .count()
}

/// Returns a valid frame around any content.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(crc32fast::hash(content).to_le_bytes());
    bytes.extend(content);
    bytes
}

/// Asserts that no truncated record and no record with a flipped bit is accepted.
fn assert_guarded<T: std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, RecordError>,
) -> Result<(), TestCaseError> {
    for length in 0..bytes.len() {
        let cut = decode(&bytes[..length]);
        prop_assert!(cut.is_err(), "cut off after {length} bytes: {cut:?}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let read = decode(&damaged);
        prop_assert!(read.is_err(), "with bit {bit} flipped: {read:?}");
    }
    Ok(())
}

fn id<T: From<u128> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<u128>().prop_map(T::from)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn key() -> impl Strategy<Value = IdempotencyKey> {
    "[!-~]{1,255}".prop_map(|text| IdempotencyKey::parse(&text).unwrap())
}

prop_compose! {
    fn timeout()(
        timeout_minutes: u32,
        auto_renew: bool,
        max_duration_minutes: u32,
        warning_threshold_minutes: u32,
    ) -> TimeoutConfig {
        TimeoutConfig {
            timeout_minutes,
            auto_renew,
            max_duration_minutes,
            warning_threshold_minutes,
        }
    }
}

prop_compose! {
    fn session()(
        (id, agent_id, user_id) in (id(), id(), id()),
        (created_at, last_activity, window_start) in (time(), time(), time()),
        (expires_at, warn_at, scheduled_at) in (time(), time(), time()),
        timeout in timeout(),
        renewal_count: u32,
        metadata in text(),
        create_key in option::of(key()),
        continued_from in option::of(continued_from()),
    ) -> Session {
        Session {
            id,
            agent_id,
            user_id,
            created_at,
            last_activity,
            window_start,
            expires_at,
            warn_at,
            scheduled_at,
            timeout,
            renewal_count,
            metadata,
            create_key,
            continued_from,
        }
    }
}

prop_compose! {
    fn continued_from()(
        session_id in id(),
        message_id in option::of(id()),
        copied: u32,
        complete: bool,
    ) -> ContinuedFrom {
        ContinuedFrom { session_id, message_id, copied, complete }
    }
}

fn reason() -> impl Strategy<Value = FailureReason> {
    prop::sample::select(FailureReason::ALL.to_vec())
}

fn turn_state() -> impl Strategy<Value = TurnState> {
    prop_oneof![
        Just(TurnState::Open),
        Just(TurnState::Copied),
        time().prop_map(TurnState::Replied),
        (text(), text(), option::of(reason())).prop_map(|(code, message, reason)| {
            TurnState::Failed(TurnFailure {
                code,
                message,
                reason,
            })
        }),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    let sender = (any::<bool>(), option::of(text()))
        .prop_map(|(by_socket, name)| Sender { by_socket, name });
    let user = (id(), id(), sender, turn_state()).prop_map(|(turn_id, reply_id, sender, turn)| {
        Role::User {
            turn_id,
            reply_id,
            sender,
            turn,
        }
    });
    let agent = (option::of(id()), option::of(text()), option::of(text())).prop_map(
        |(in_reply_to, thought, actions)| Role::Agent {
            in_reply_to,
            thought,
            actions,
        },
    );
    prop_oneof![user, agent]
}

prop_compose! {
    fn message()(
        id in id(),
        session_id in id(),
        author_id in any::<u128>().prop_map(Uuid::from_u128),
        created_at in time(),
        content in text(),
        metadata in option::of(text()),
        attachments in option::of(text()),
        role in role(),
    ) -> Message {
        let body = Body { content, metadata, attachments };
        Message { id, session_id, author_id, created_at, body, role }
    }
}

prop_compose! {
    fn open_turn()(
        session_id in id(),
        position: u32,
        message_at in time(),
        begun: bool,
        running: bool,
        crashes: u8,
        waits_until in option::of(time()),
    ) -> OpenTurn {
        OpenTurn { session_id, position, message_at, begun, running, crashes, waits_until }
    }
}

prop_compose! {
    fn claim()(
        session_id in id(),
        created_at in time(),
        digest: [u8; 32],
    ) -> CreateClaim {
        CreateClaim { session_id, created_at, digest: RequestDigest(digest) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_session_round_trips_and_damage_is_detected(session in session()) {
        let bytes = encode_session(&session).unwrap();
        prop_assert_eq!(&decode_session(session.id, &bytes).unwrap(), &session);
        assert_guarded(&bytes, |bytes| decode_session(session.id, bytes))?;
    }

    #[test]
    fn a_message_round_trips_and_damage_is_detected(message in message()) {
        let (session, at) = (message.session_id, message.created_at);
        let bytes = encode_message(&message).unwrap();
        prop_assert_eq!(&decode_message(session, at, &bytes).unwrap(), &message);
        assert_guarded(&bytes, |bytes| decode_message(session, at, bytes))?;
    }

    #[test]
    fn an_open_turn_round_trips_and_damage_is_detected(turn in open_turn()) {
        let (session, position) = (turn.session_id, turn.position);
        let bytes = encode_turn(&turn).unwrap();
        prop_assert_eq!(&decode_turn(session, position, &bytes).unwrap(), &turn);
        assert_guarded(&bytes, |bytes| decode_turn(session, position, bytes))?;
    }

    #[test]
    fn a_create_key_round_trips_and_damage_is_detected(claim in claim()) {
        let bytes = encode_claim(&claim).unwrap();
        prop_assert_eq!(&decode_claim(&bytes).unwrap(), &claim);
        assert_guarded(&bytes, decode_claim)?;
    }

    #[test]
    fn small_values_round_trip_and_damage_is_detected(
        point in time(),
        rows: u64,
        number: u32,
    ) {
        let counter = Counter { point, rows };
        let bytes = encode_counter(counter).unwrap();
        prop_assert_eq!(decode_counter(&bytes).unwrap(), counter);
        assert_guarded(&bytes, decode_counter)?;

        let bytes = encode_time(point).unwrap();
        prop_assert_eq!(decode_time(&bytes).unwrap(), point);
        assert_guarded(&bytes, decode_time)?;

        let name = number.to_string();
        let bytes = encode_remote_session(&name).unwrap();
        prop_assert_eq!(decode_remote_session(&bytes).unwrap(), name);
        assert_guarded(&bytes, decode_remote_session)?;

        let bytes = encode_number(number).unwrap();
        prop_assert_eq!(decode_number(&bytes).unwrap(), number);
        assert_guarded(&bytes, decode_number)?;
    }

    #[test]
    fn random_bytes_are_never_a_record(bytes in vec(any::<u8>(), 0..300)) {
        // One in 2^40 would pass the checks of the frame.
        prop_assert_eq!(accepted(&bytes), 0);
    }

    #[test]
    fn random_bytes_in_a_valid_frame_never_panic(
        content in vec(any::<u8>(), 0..300),
    ) {
        accepted(&framed(&content));
    }

    #[test]
    fn a_damaged_length_allocates_no_memory(
        message in message(),
        session in session(),
        length in prop_oneof![Just(u64::MAX), Just(1 << 62), Just(1 << 40), Just(1 << 21)],
    ) {
        // bincode writes a number of 64 bits as 253 and its bytes. Inserted at every position, it
        // is also read as the length of a text.
        let length = [&[253], &length.to_le_bytes()[..]].concat();
        for bytes in [encode_message(&message).unwrap(), encode_session(&session).unwrap()] {
            let content = &bytes[HEADER_BYTES..];
            for place in 0..content.len() {
                accepted(&framed(&[&content[..place], &length, &content[place..]].concat()));
            }
        }
    }

    #[test]
    fn bytes_after_a_record_make_it_invalid(
        session in session(),
        rest in vec(any::<u8>(), 1..9),
    ) {
        let bytes = encode_session(&session).unwrap();
        let longer = framed(&[&bytes[HEADER_BYTES..], &rest].concat());
        let error = decode_session(session.id, &longer).unwrap_err();
        prop_assert!(matches!(error, RecordError::Layout(_)), "{error:?}");
    }
}

#[test]
fn the_length_of_a_text_is_limited() {
    // An empty message of an agent, truncated before the length of its content.
    let head = [0; 32];
    for length in [MAX_RECORD_BYTES as u64 + 1, 1 << 32, u64::MAX] {
        let length = [&[253], &length.to_le_bytes()[..]].concat();
        let bytes = framed(&[&head[..], &length].concat());
        let error = decode_message(SessionId::from(1), Timestamp(1), &bytes).unwrap_err();
        assert!(matches!(error, RecordError::Layout(_)), "{error:?}");
    }
}

#[test]
fn an_unknown_version_is_reported() {
    let good = encode_number(7).unwrap();
    for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
        let mut bytes = good.clone();
        bytes[0] = version;
        let error = decode_number(&bytes).unwrap_err();
        assert_eq!(error, RecordError::UnknownVersion(version));
    }
}

#[test]
fn each_kind_of_damage_has_its_own_error() {
    let good = encode_number(7).unwrap();
    assert_eq!(decode_number(&[]), Err(RecordError::TooShort(0)));
    assert_eq!(decode_number(&good[..4]), Err(RecordError::TooShort(4)));
    let flipped = [&good[..5], &[good[5] ^ 1]].concat();
    assert_eq!(decode_number(&flipped), Err(RecordError::Checksum));
    let empty = framed(&[]);
    assert!(matches!(decode_number(&empty), Err(RecordError::Layout(_))));
}

#[test]
fn a_session_with_an_invalid_key_is_damaged() {
    let session = sample_session();
    let bytes = encode_session(&session).unwrap();
    let content = &bytes[HEADER_BYTES..];
    // The key is last.
    let damaged = [&content[..content.len() - 1], b" "].concat();
    let error = decode_session(session.id, &framed(&damaged)).unwrap_err();
    assert!(matches!(error, RecordError::Layout(_)), "{error:?}");
}

#[test]
fn the_largest_allowed_messages_round_trip() {
    let mut message = sample_message();
    message.body = Body {
        content: "\u{1F600}".repeat(16 * 1024),
        metadata: Some("m".repeat(10_240)),
        attachments: Some("a".repeat(16 * 1024)),
    };
    let bytes = encode_message(&message).unwrap();
    let read = decode_message(message.session_id, message.created_at, &bytes);
    assert_eq!(read.unwrap(), message);
}

#[test]
fn a_record_that_could_not_be_decoded_is_not_encoded() {
    let mut message = sample_message();
    let near = (0..2_000).step_by(10).map(|less| MAX_RECORD_BYTES - less);
    for bytes in near.chain([MAX_RECORD_BYTES + 1, 3 << 20]) {
        message.body.content = "x".repeat(bytes);
        if let Ok(written) = encode_message(&message) {
            let read = decode_message(message.session_id, message.created_at, &written);
            assert!(read.is_ok(), "{bytes} bytes: {:?}", read.map(drop));
        }
    }
}

/// The layout of version 1, byte by byte: a change here is a new version.
#[test]
fn each_version_is_written_as_it_always_was() {
    let turn = OpenTurn {
        session_id: SessionId::from(1),
        position: 0,
        message_at: Timestamp(1_705_314_645_123),
        begun: true,
        running: false,
        crashes: 2,
        waits_until: None,
    };
    let waiting = OpenTurn {
        waits_until: Some(Timestamp(1_705_314_765_123)),
        ..turn.clone()
    };
    let claim = CreateClaim {
        session_id: SessionId::from(0x0123),
        created_at: Timestamp(-1),
        digest: RequestDigest([0xd; 32]),
    };
    let counter = Counter {
        point: Timestamp(1_000),
        rows: 300,
    };
    let written = [
        ("session", encode_session(&sample_session())),
        ("continued session", encode_session(&continued_session())),
        ("message", encode_message(&sample_message())),
        ("failed message", encode_message(&failed_message())),
        ("copied message", encode_message(&copied_message())),
        ("turn", encode_turn(&turn)),
        ("waiting turn", encode_turn(&waiting)),
        ("claim", encode_claim(&claim)),
        ("time", encode_time(Timestamp(1_000))),
        (
            "submitted error",
            encode_submitted_error(Timestamp(1_000), &sample_error()),
        ),
        (
            "submitted reply",
            encode_submitted_reply(Timestamp(1_000), Some(RequestDigest([0xd; 32]))),
        ),
        ("counter", encode_counter(counter)),
        ("number", encode_number(1)),
        ("upstream", encode_remote_session("up")),
    ]
    .map(|(name, bytes)| format!("{name} {}", hex(&bytes.unwrap())));
    assert_eq!(written.join("\n"), LAYOUT.trim());
}

const LAYOUT: &str = "
session 01fadd10a80000000000000000000000000000000a0000000000000000000000000000000bfbd007fba00ffb7017f\
b401ffb1027fbe02e1e01fbd0020507077b2261223a317d01056b65792d31
continued session 0254e8a96f0000000000000000000000000000000a0000000000000000000000000000000bfbd007fba00\
ffb7017fb401ffb1027fbe02e1e01fbd0020507077b2261223a317d01056b65792d310000000000000000000000000000\
0002010000000000000000000000000000000cfb2c0101
message 01f34c987f0000000000000000000000000000000c0000000000000000000000000000000b076772c3bcc39f6501\
077b2262223a327d00000000000000000000000000000000000d0000000000000000000000000000000e010103416461020b4147454e545f4552524f52026e6f
failed message 02dd85c06f0000000000000000000000000000000c0000000000000000000000000000000b076772c3bcc\
39f6501077b2262223a327d00000000000000000000000000000000000d0000000000000000000000000000000e010103416461020b4147454e545f4552524f52026e6f03
copied message 04db8388c90000000000000000000000000000000c0000000000000000000000000000000b076772c3bcc\
39f6501077b2262223a327d00000000000000000000000000000000000d0000000000000000000000000000000e01010341646100
turn 0136b63d82fd06e958191a030000010002
waiting turn 02cff89390fd06e958191a030000010002fd86925c191a030000
claim 02fcfd8aae00000000000000000000000000000123010d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d\
0d0d0d0d0d
time 019f158c59fbd007
submitted error 02cb315e60fbd007026e6f01027b7d00000000010000000000000000000000000000000c
submitted reply 0481c75288fbd0070d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d
counter 0190c8122dfbd007fb2c01
number 011bdf05a501
upstream 01f3f188fe027570
";

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn sample_session() -> Session {
    Session {
        id: SessionId::from(1),
        agent_id: AgentId::from(0xa),
        user_id: UserId::from(0xb),
        created_at: Timestamp(1_000),
        last_activity: Timestamp(2_000),
        window_start: Timestamp(3_000),
        expires_at: Timestamp(4_000),
        warn_at: Timestamp(5_000),
        scheduled_at: Timestamp(6_000),
        timeout: TimeoutConfig {
            timeout_minutes: 30,
            auto_renew: true,
            max_duration_minutes: 720,
            warning_threshold_minutes: 5,
        },
        renewal_count: 7,
        metadata: r#"{"a":1}"#.into(),
        create_key: IdempotencyKey::parse("key-1"),
        continued_from: None,
    }
}

fn continued_session() -> Session {
    Session {
        continued_from: Some(ContinuedFrom {
            session_id: SessionId::from(2),
            message_id: Some(MessageId::from(0xc)),
            copied: 300,
            complete: true,
        }),
        ..sample_session()
    }
}

/// A copy without a turn.
fn copied_message() -> Message {
    let mut message = sample_message();
    if let Role::User { turn, .. } = &mut message.role {
        *turn = TurnState::Copied;
    }
    message
}

/// The key of a create as older versions stored it: 30 minutes, not renewed by itself.
const OLD_CLAIM: &str = "01c19a72a90000000000000000000000000000012301010000000000003e4001000000";

#[test]
fn the_key_of_a_create_of_an_older_version_is_decoded_for_its_migration() {
    let bytes: Vec<u8> = (0..OLD_CLAIM.len() / 2)
        .map(|nth| u8::from_str_radix(&OLD_CLAIM[2 * nth..2 * nth + 2], 16).unwrap())
        .collect();
    let claim = decode_old_claim(&bytes).unwrap();
    assert_eq!(claim.session_id, SessionId::from(0x123));
    assert_eq!(claim.timeout.timeout_minutes, Some(30.0));
    assert_eq!(claim.timeout.auto_renew, Some(false));
    assert_eq!(claim.timeout.max_duration_minutes, None);
    assert_eq!(decode_claim(&bytes), Err(RecordError::UnknownVersion(1)));
}

/// One whose turn failed for a reason.
fn failed_message() -> Message {
    let mut message = sample_message();
    if let Role::User {
        turn: TurnState::Failed(failure),
        ..
    } = &mut message.role
    {
        failure.reason = Some(FailureReason::Refused);
    }
    message
}

#[test]
fn the_reason_of_an_older_failure_is_that_of_its_code_or_none() {
    for (code, reason) in [
        ("AGENT_TIMEOUT", Some(FailureReason::Timeout)),
        ("SESSION_EXPIRED", Some(FailureReason::Expired)),
        ("AGENT_ERROR", None),
    ] {
        let mut message = sample_message();
        if let Role::User {
            turn: TurnState::Failed(failure),
            ..
        } = &mut message.role
        {
            failure.code = code.into();
        }
        let bytes = encode_message(&message).unwrap();
        assert_eq!(bytes[0], VERSION);
        let read = decode_message(message.session_id, message.created_at, &bytes).unwrap();
        let Role::User {
            turn: TurnState::Failed(failure),
            ..
        } = read.role
        else {
            panic!("its turn failed");
        };
        assert_eq!(failure.reason, reason, "{code}");
    }
}

fn sample_error() -> SubmittedError {
    SubmittedError {
        key: IdempotencyKey::parse("k").unwrap(),
        message: "no".into(),
        metadata: Some("{}".into()),
        attachments: None,
        thought: None,
        actions: None,
        session_metadata: None,
        failed: vec![MessageId::from(0xc)],
    }
}

#[test]
fn a_submitted_error_is_decoded_unchanged_and_not_at_all_if_damaged() {
    let (error, at) = (sample_error(), Timestamp(1_000));
    let bytes = encode_submitted_error(at, &error).unwrap();
    let claim = decode_submit_claim(&error.key, &bytes);
    assert_eq!(claim, Ok(SubmitClaim::Error(at, error.clone())));
    assert_eq!(decode_key_time(&bytes), Ok(at));
    assert_guarded(&bytes, |bytes| decode_submit_claim(&error.key, bytes)).unwrap();
    let reply = encode_time(at).unwrap();
    assert_eq!(
        decode_submit_claim(&error.key, &reply),
        Ok(SubmitClaim::Reply(at, None))
    );
    assert_eq!(decode_key_time(&reply), Ok(at));
    let digest = Some(RequestDigest([7; 32]));
    let reply = encode_submitted_reply(at, digest).unwrap();
    assert_eq!(
        decode_submit_claim(&error.key, &reply),
        Ok(SubmitClaim::Reply(at, digest))
    );
    assert_eq!(decode_key_time(&reply), Ok(at));
    assert_guarded(&reply, decode_submitted_reply).unwrap();
}

fn sample_message() -> Message {
    Message {
        id: MessageId::from(0xc),
        session_id: SessionId::from(1),
        author_id: Uuid::from_u128(0xb),
        created_at: Timestamp(1_000),
        body: Body {
            content: "grüße".into(),
            metadata: Some(r#"{"b":2}"#.into()),
            attachments: None,
        },
        role: Role::User {
            turn_id: TurnId::from(0xd),
            reply_id: MessageId::from(0xe),
            sender: Sender {
                by_socket: true,
                name: Some("Ada".into()),
            },
            turn: TurnState::Failed(TurnFailure {
                code: "AGENT_ERROR".into(),
                message: "no".into(),
                reason: None,
            }),
        },
    }
}
