use super::*;
use crate::app::PageRequest;
use crate::app::error::ValidationError;
use crate::domain::time::Timestamp;

fn messages(name: &str, text: &str) -> Result<PageRequest, ValidationError> {
    let mut query = MessagePageQuery::default();
    let parameter = match name {
        "limit" => &mut query.limit,
        "before" => &mut query.before,
        _ => &mut query.after,
    };
    *parameter = Some(text.to_owned());
    query.validate()
}

fn sessions(limit: Option<&str>, cursor: Option<&str>) -> Result<Option<usize>, ValidationError> {
    let query = SessionListQuery {
        limit: limit.map(str::to_owned),
        cursor: cursor.map(str::to_owned),
        ..SessionListQuery::default()
    };
    query.validate().map(|page| page.limit)
}

#[test]
fn a_message_limit_is_clamped_or_the_default() {
    for (text, limit) in [
        ("1", 1),
        ("100", 100),
        ("101", 100),
        ("0", 1),
        ("-7", 1),
        ("10.9", 10),
        ("1e1", 10),
        ("", 50),
        (" ", 50),
        ("ten", 50),
        ("NaN", 50),
        ("Infinity", 50),
    ] {
        assert_eq!(messages("limit", text).unwrap().limit, limit, "{text:?}");
    }
    let page = MessagePageQuery::default().validate();
    assert_eq!(page.unwrap().limit, 50);
}

#[test]
fn a_cursor_is_epoch_milliseconds_or_a_time() {
    let before = |text| messages("before", text).map(|page| page.before);
    let after = |text| messages("after", text).map(|page| page.after);
    assert_eq!(
        before("1705314645123").unwrap(),
        Some(Timestamp(1_705_314_645_123))
    );
    assert_eq!(after("-5").unwrap(), Some(Timestamp(-5)));
    assert_eq!(
        before("2024-01-15T12:30:45.123 02:00").unwrap(),
        Some(Timestamp(1_705_314_645_123))
    );
    assert_eq!(
        before("1970-01-01T00:00:00.0001Z").unwrap(),
        Some(Timestamp(1))
    );
    assert_eq!(
        after("1970-01-01T00:00:00.0001Z").unwrap(),
        Some(Timestamp(0))
    );
    for blank in ["", " ", "\t"] {
        assert_eq!(before(blank).unwrap(), None, "{blank:?}");
        assert_eq!(after(blank).unwrap(), None, "{blank:?}");
    }
    for wrong in ["yesterday", "1.5", "9007199254740993", "2024-01-15", "1e3"] {
        assert!(before(wrong).is_err() && after(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_session_limit_out_of_bounds_is_refused() {
    for wrong in ["", "0", "1001", "-1", "ten", "1.5"] {
        assert!(sessions(Some(wrong), None).is_err(), "{wrong:?}");
    }
    assert_eq!(sessions(Some("1000"), None).unwrap(), Some(1000));
    assert_eq!(sessions(None, None).unwrap(), None);
    let id = "0196c7a0-0000-7000-8000-000000000001";
    assert_eq!(sessions(None, Some(id)).unwrap(), Some(100));
}
