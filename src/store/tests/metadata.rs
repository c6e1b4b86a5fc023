//! Changes of a session's metadata, and what a reply changes in it.

use rstest::rstest;

use super::super::command::{DeleteSession, SubmitReply};
use super::submit::{submit, wait};
use super::*;

fn update(session_id: SessionId, patch: &str) -> UpdateMetadata {
    UpdateMetadata {
        session_id,
        patch: patch.into(),
    }
}

/// Returns a patch that makes the metadata of a new session this large.
fn patch_to(bytes: usize) -> String {
    let empty = r#"{"username":"Alice","x":""}"#.len();
    format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes - empty))
}

#[test]
fn a_patch_changes_the_metadata_and_nothing_else() {
    let mut rig = Rig::new();
    let before = rig.create();
    let mut listener = listen(&rig.bus, before.id);
    rig.pass(MINUTE);
    let changed = rig.submit(update(before.id, r#"{"title":"Tea"}"#)).unwrap();
    let expected = Session {
        metadata: r#"{"username":"Alice","title":"Tea"}"#.into(),
        ..before.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(rig.session(before.id), Some(expected));
    assert_eq!(
        heard(&mut listener),
        [r#"updated {"username":"Alice","title":"Tea"}"#]
    );
}

#[test]
fn a_patch_that_changes_nothing_writes_nothing_and_is_not_published() {
    let disk = Disk::default();
    let mut rig = Rig::on_disk(&disk);
    let session = rig.create();
    let mut listener = listen(&rig.bus, session.id);
    disk.begin_log();
    for patch in ["{}", r#"{ "username" : "Alice" }"#, r#"{"gone":null}"#] {
        assert_eq!(rig.submit(update(session.id, patch)).unwrap(), session);
    }
    assert!(disk.log().is_empty());
    assert_eq!(heard(&mut listener), [""; 0]);
}

#[test]
fn metadata_may_have_10240_bytes_after_the_merge_and_no_more() {
    let mut rig = Rig::new();
    let session = rig.create();
    let refusal = rig.refusal(update(session.id, &patch_to(10_241)));
    let reason = "metadata must be at most 10240 bytes as compact JSON, not 10241";
    assert_eq!(refusal, RuleViolation::InvalidMetadata(reason.into()));
    assert_eq!(rig.session(session.id), Some(session.clone()));
    let largest = rig.submit(update(session.id, &patch_to(10_240))).unwrap();
    assert_eq!(largest.metadata.len(), 10_240);
    // A larger patch that removes as much as it adds.
    let swap = patch_to(10_240).replace("\"x\"", "\"z\"");
    let swap = swap.replacen('{', r#"{"x":null,"#, 1);
    let swapped = rig.submit(update(session.id, &swap)).unwrap();
    assert_eq!(swapped.metadata.len(), 10_240);
}

#[test]
fn only_active_sessions_are_changed() {
    let mut rig = Rig::new();
    let session = rig.create();
    rig.hand.set(session.expires_at);
    let patch = update(session.id, r#"{"a":1}"#);
    assert!(matches!(
        rig.refusal(patch),
        RuleViolation::SessionExpired { .. }
    ));
    rig.submit(DeleteSession(session.id)).unwrap();
    let patch = update(session.id, r#"{"a":1}"#);
    let gone = RuleViolation::SessionNotFound(session.id);
    assert_eq!(rig.refusal(patch), gone);
}

#[test]
fn a_create_key_compares_what_was_sent_at_the_create() {
    let mut rig = Rig::new();
    let creation = rig.keyed_creation("k");
    let session = rig.submit(creation).unwrap().session;
    rig.submit(update(session.id, r#"{"username":"Bob"}"#))
        .unwrap();
    let mut repeat = rig.keyed_creation("k");
    repeat.new.metadata = r#"{ "username": "Alice" }"#.into();
    let repeat = rig.submit(repeat).unwrap();
    assert!(repeat.replayed);
    assert_eq!(repeat.session.metadata, r#"{"username":"Bob"}"#);
    let mut other = rig.keyed_creation("k");
    other.new.metadata = r#"{"username":"Bob"}"#.into();
    let conflict = RuleViolation::IdempotencyConflict { key: "k".into() };
    assert_eq!(rig.refusal(other), conflict);
}

#[test]
fn a_reply_changes_the_metadata_in_its_own_commit() {
    let mut rig = Rig::new();
    let session = rig.create().id;
    let sent = rig.send(session, "hello").message;
    let mut listener = listen(&rig.bus, session);
    let mut close = answer(&sent, "well");
    if let Ok(reply) = &mut close.result {
        reply.session_metadata = Some(r#"{"title":"Tea","username":null}"#.into());
    }
    rig.submit(close).unwrap();
    assert_eq!(rig.session(session).unwrap().metadata, r#"{"title":"Tea"}"#);
    assert_eq!(
        heard(&mut listener),
        [r#"updated {"title":"Tea"}"#, "agent: well", "ended", "idle"]
    );
}

#[test]
fn metadata_of_a_reply_that_does_not_fit_is_left_out_and_the_reply_is_stored() {
    let mut rig = Rig::new();
    let session = rig.create();
    let sent = rig.send(session.id, "hello").message;
    let mut close = answer(&sent, "well");
    if let Ok(reply) = &mut close.result {
        reply.session_metadata = Some(patch_to(10_241));
    }
    assert!(matches!(
        rig.submit(close).unwrap(),
        CloseOutcome::Replied(_)
    ));
    assert_eq!(rig.session(session.id).unwrap().metadata, session.metadata);
}

fn with_metadata(rig: &mut Rig, session: SessionId, patch: Option<&str>) -> SubmitReply {
    let mut command = submit(rig, session, "well");
    command.key = Some(key("k"));
    command.reply.session_metadata = patch.map(str::to_owned);
    command
}

#[test]
fn metadata_of_a_submit_that_does_not_fit_is_refused_and_nothing_is_stored() {
    let mut rig = Rig::new();
    let session = rig.create();
    wait(&mut rig, session.id, "hello");
    let command = with_metadata(&mut rig, session.id, Some(&patch_to(10_241)));
    assert!(matches!(
        rig.refusal(command),
        RuleViolation::InvalidMetadata(_)
    ));
    assert_eq!(rig.transcript(session.id).len(), 1);
    let command = with_metadata(&mut rig, session.id, Some(&patch_to(10_240)));
    let stored = rig.submit(command).unwrap();
    assert_eq!(stored.session.metadata.len(), 10_240);
    assert!(!stored.replayed);
}

#[rstest]
#[case::the_same_in_another_spelling(Some(r#"{ "b": 1e2, "a": 1 }"#), true)]
#[case::other(Some(r#"{"a":2,"b":100.0}"#), false)]
#[case::none(None, false)]
fn a_submit_key_compares_session_metadata(#[case] repeated: Option<&str>, #[case] same: bool) {
    let mut rig = Rig::new();
    let session = rig.create().id;
    wait(&mut rig, session, "hello");
    let command = with_metadata(&mut rig, session, Some(r#"{"a":1,"b":100.0}"#));
    rig.submit(command).unwrap();
    rig.submit(update(session, r#"{"a":7}"#)).unwrap();
    rig.restart();
    let repeat = with_metadata(&mut rig, session, repeated);
    if same {
        assert!(rig.submit(repeat).unwrap().replayed);
    } else {
        let conflict = RuleViolation::IdempotencyConflict { key: "k".into() };
        assert_eq!(rig.refusal(repeat), conflict);
    }
    // A repeat changes nothing.
    let metadata = rig.session(session).unwrap().metadata;
    assert_eq!(metadata, r#"{"username":"Alice","a":7,"b":100.0}"#);
}
