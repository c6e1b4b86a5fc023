use super::*;
use proptest::prelude::*;
use rstest::rstest;

#[test]
fn a_message_of_the_agent_is_recognized() {
    let by = |role| Message::<String> {
        id: MessageId::from(1),
        session_id: SessionId::from(2),
        author_id: Uuid::from_u128(3),
        created_at: Timestamp(4),
        body: Body::default(),
        role,
    };
    let agent = by(Role::Agent {
        in_reply_to: None,
        thought: None,
        actions: None,
    });
    let user = by(Role::User {
        turn_id: TurnId::from(5),
        reply_id: MessageId::from(6),
        sender: Sender::default(),
        turn: TurnState::Open,
    });
    assert!(agent.is_agent());
    assert!(!user.is_agent());
}

#[rstest]
#[case::one_letter("a")]
#[case::one_space(" ")]
#[case::one_zero_character("\0")]
#[case::lines("one\r\ntwo\n")]
#[case::a_family_of_several_characters("👨‍👩‍👧‍👦")]
#[case::right_to_left("שלום")]
#[case::markup("<b>\"bold\"</b> \\ & more")]
fn content_may_be_any_text(#[case] text: &str) {
    assert_eq!(check_content(text), Ok(()));
}

#[rstest]
#[case::letters("a")]
#[case::umlauts("ä")]
#[case::chinese("字")]
#[case::emoji("🎉")]
fn content_is_at_most_4000_characters_however_many_bytes_they_are(#[case] character: &str) {
    assert_eq!(check_content(&character.repeat(4000)), Ok(()));
    let refused = check_content(&character.repeat(4001)).unwrap_err();
    let reason = refused.reason();
    assert!(
        reason.contains("4000") && reason.contains("4001"),
        "{reason}"
    );
}

#[test]
fn content_is_not_empty() {
    let refused = check_content("").unwrap_err();
    assert!(refused.reason().contains("empty"), "{refused:?}");
}

#[rstest]
#[case::metadata(check_metadata, MAX_METADATA_BYTES)]
#[case::attachments(check_attachments, MAX_ATTACHMENTS_BYTES)]
#[case::attachment_count(check_attachment_count, MAX_ATTACHMENTS)]
fn a_limit_is_the_largest_accepted_value(
    #[case] check: fn(usize) -> Result<(), InvalidMessage>,
    #[case] most: usize,
) {
    assert_eq!(check(most), Ok(()));
    let refused = check(most + 1).unwrap_err();
    for part in [most.to_string(), (most + 1).to_string()] {
        assert!(refused.reason().contains(&part), "{refused:?}");
    }
}

proptest! {
    #[test]
    fn only_content_of_1_to_4000_characters_is_accepted(
        character: char,
        count in prop_oneof![0..3_usize, 3990..4010_usize, 0..10_000_usize],
    ) {
        let text = character.to_string().repeat(count);
        prop_assert_eq!(check_content(&text).is_ok(), (1..=4000).contains(&count));
    }
}
