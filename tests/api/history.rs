//! Listing a session's messages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{MINUTE, SECOND, START, Server, UNKNOWN_ID, at, names, time};

/// Creates a session with this many turns, one a second: the message `m1` at one second, its reply
/// `r1` a millisecond later, and so on.
async fn conversation(server: &Server, turns: u32) -> String {
    let config = json!({ "timeoutMinutes": 1440 });
    let session = server
        .session_with(json!({ "timeoutConfig": config }))
        .await;
    for turn in 1..=turns {
        server.advance(SECOND);
        let text = format!("say r{turn}");
        assert_eq!(server.ask(&session, &text).await, format!("r{turn}"));
    }
    session
}

/// Returns the time of a message of [`conversation`], in epoch milliseconds.
fn epoch(name: &str) -> i64 {
    let turn: i64 = name[1..].parse().unwrap();
    START.0 + turn * 1000 + i64::from(name.starts_with('r'))
}

async fn page(server: &Server, session: &str, query: &str) -> Value {
    let path = format!("{}{query}", at(session, "/messages"));
    server.get(&path).await.expect(200).body
}

/// Returns the contents of a page's messages, and its `hasMore`.
fn shown(page: &Value) -> (Vec<String>, bool) {
    let messages = page["messages"].as_array().unwrap().iter();
    let names = messages.map(|message| message["content"].as_str().unwrap().replace("say r", "m"));
    (names.collect(), page["hasMore"].as_bool().unwrap())
}

fn is(names: &str, has_more: bool) -> (Vec<String>, bool) {
    (
        names.split_whitespace().map(str::to_owned).collect(),
        has_more,
    )
}

#[tokio::test]
async fn an_empty_conversation_has_no_cursors() {
    let server = Server::start().await;
    let session = server.session().await;
    let empty = json!({ "messages": [], "hasMore": false });
    for query in ["", "?limit=1", "?before=0", "?after=0"] {
        assert_eq!(page(&server, &session, query).await, empty);
    }
    server.ask(&session, "x").await;
    for query in ["?before=0", "?after=9007199254740992", "?before=5&after=5"] {
        assert_eq!(page(&server, &session, query).await, empty, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_newest_messages_come_first() {
    let server = Server::start().await;
    let session = conversation(&server, 3).await;
    let all = page(&server, &session, "").await;
    assert_eq!(shown(&all), is("r3 m3 r2 m2 r1 m1", false));
    assert_eq!(names(&all), ["messages", "hasMore", "cursors"]);
    let cursors = json!({ "before": epoch("m1"), "after": epoch("r3") });
    assert_eq!(all["cursors"], cursors);
    let (reply, message) = (&all["messages"][4], &all["messages"][5]);
    let fields = [
        "id",
        "content",
        "authorId",
        "isAgent",
        "createdAt",
        "metadata",
    ];
    assert_eq!(names(message), fields);
    assert_eq!(names(reply), [fields.as_slice(), &["inReplyTo"]].concat());
    assert_eq!(
        (&message["isAgent"], &reply["isAgent"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(message["createdAt"], time(SECOND));
    server.stop().await;
}

#[tokio::test]
async fn a_limit_is_clamped_or_defaulted() {
    let server = Server::start().await;
    let session = conversation(&server, 51).await;
    for (limit, count) in [
        ("1", 1),
        ("99", 99),
        ("100", 100),
        ("101", 100),
        ("99999999999999999999", 100),
        ("0", 1),
        ("-5", 1),
        ("", 50),
        ("%20", 50),
        ("ten", 50),
        ("NaN", 50),
        ("5x", 50),
    ] {
        let page = page(&server, &session, &format!("?limit={limit}")).await;
        assert_eq!(
            page["messages"].as_array().unwrap().len(),
            count,
            "{limit:?}"
        );
        assert_eq!(page["hasMore"], true);
    }
    let page = page(&server, &session, "").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 50);
    server.stop().await;
}

#[tokio::test]
async fn before_and_after_are_exclusive() {
    let server = Server::start().await;
    let session = conversation(&server, 4).await;
    for (query, expected) in [
        (format!("?before={}", epoch("m3")), is("r2 m2 r1 m1", false)),
        (
            format!("?before={}", epoch("m3") + 1),
            is("m3 r2 m2 r1 m1", false),
        ),
        (format!("?before={}", epoch("m1")), is("", false)),
        (format!("?after={}", epoch("m3")), is("r4 m4 r3", false)),
        (
            format!("?after={}", epoch("m3") - 1),
            is("r4 m4 r3 m3", false),
        ),
        (format!("?after={}", epoch("r4")), is("", false)),
        (
            "?after=-9007199254740992".to_owned(),
            is("r4 m4 r3 m3 r2 m2 r1 m1", false),
        ),
        (
            "?before=9007199254740992".to_owned(),
            is("r4 m4 r3 m3 r2 m2 r1 m1", false),
        ),
    ] {
        assert_eq!(
            shown(&page(&server, &session, &query).await),
            expected,
            "{query}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn before_selects_the_newest_in_range_and_after_the_oldest() {
    let server = Server::start().await;
    let session = conversation(&server, 4).await;
    let (m2, r3, r4) = (epoch("m2"), epoch("r3"), epoch("r4"));
    for (query, expected) in [
        ("?limit=3".to_owned(), is("r4 m4 r3", true)),
        (format!("?limit=3&before={r3}"), is("m3 r2 m2", true)),
        (format!("?limit=2&before={m2}"), is("r1 m1", false)),
        (format!("?limit=1&before={m2}"), is("r1", true)),
        (format!("?limit=3&after={m2}"), is("r3 m3 r2", true)),
        (format!("?limit=5&after={m2}"), is("r4 m4 r3 m3 r2", false)),
        (format!("?limit=4&after={m2}"), is("m4 r3 m3 r2", true)),
        // With both, the newest in range; `hasMore` refers to the range.
        (
            format!("?limit=2&after={m2}&before={r4}"),
            is("m4 r3", true),
        ),
        (
            format!("?limit=3&after={m2}&before={r4}"),
            is("m4 r3 m3", true),
        ),
        (
            format!("?limit=4&after={m2}&before={r4}"),
            is("m4 r3 m3 r2", false),
        ),
        (format!("?after={r4}&before={m2}"), is("", false)),
        (format!("?after={m2}&before={m2}"), is("", false)),
        (format!("?after={m2}&before={}", m2 + 1), is("", false)),
    ] {
        assert_eq!(
            shown(&page(&server, &session, &query).await),
            expected,
            "{query}"
        );
    }
    server.stop().await;
}

/// Returns the messages of all pages in one direction, in order.
async fn walk(server: &Server, session: &str, direction: &str, limit: u32) -> Vec<String> {
    let mut walked = Vec::new();
    let mut cursor = match direction {
        "before" => i64::MAX >> 10,
        _ => 0,
    };
    loop {
        let query = format!("?limit={limit}&{direction}={cursor}");
        let page = page(server, session, &query).await;
        let (mut messages, has_more) = shown(&page);
        if direction == "after" {
            messages.reverse();
        }
        assert!(!has_more || messages.len() == limit as usize);
        walked.extend(messages);
        let Some(next) = page["cursors"][direction].as_i64() else {
            assert!(!has_more);
            return walked;
        };
        cursor = next;
        if !has_more {
            return walked;
        }
    }
}

#[tokio::test]
async fn paging_by_cursors_skips_and_repeats_nothing() {
    let server = Server::start().await;
    let session = conversation(&server, 6).await;
    let (mut all, _) = shown(&page(&server, &session, "").await);
    assert_eq!(all.len(), 12);
    for limit in [1, 2, 3, 5, 12, 13] {
        assert_eq!(
            walk(&server, &session, "before", limit).await,
            all,
            "{limit}"
        );
    }
    all.reverse();
    for limit in [1, 2, 3, 5, 12, 13] {
        assert_eq!(
            walk(&server, &session, "after", limit).await,
            all,
            "{limit}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn messages_of_one_millisecond_can_be_paged_one_by_one() {
    let server = Server::start().await;
    let session = server.session().await;
    for turn in 1..=5 {
        server.ask(&session, &format!("say r{turn}")).await;
    }
    let (mut all, _) = shown(&page(&server, &session, "").await);
    assert_eq!(walk(&server, &session, "before", 1).await, all);
    all.reverse();
    assert_eq!(walk(&server, &session, "after", 3).await, all);
    server.stop().await;
}

#[tokio::test]
async fn new_messages_are_found_after_the_last_cursor() {
    let server = Server::start().await;
    let session = conversation(&server, 2).await;
    let last = page(&server, &session, "").await["cursors"]["after"].clone();
    let query = format!("?after={last}");
    assert_eq!(shown(&page(&server, &session, &query).await), is("", false));
    server.ask(&session, "say r3").await;
    assert_eq!(
        shown(&page(&server, &session, &query).await),
        is("r3 m3", false)
    );
    server.stop().await;
}

#[tokio::test]
async fn before_and_after_accept_rfc_3339_times() {
    let server = Server::start().await;
    let session = conversation(&server, 4).await;
    for (query, expected) in [
        ("?before=2024-01-01T00:00:02.000Z", is("r1 m1", false)),
        ("?before=2024-01-01T00:00:02Z", is("r1 m1", false)),
        ("?after=2024-01-01T00:00:03.000Z", is("r4 m4 r3", false)),
        ("?after=2024-01-01T00:00:03.001Z", is("r4 m4", false)),
        (
            "?after=2024-01-01T02:00:03.000%2B02:00",
            is("r4 m4 r3", false),
        ),
        (
            "?after=2024-01-01T02:00:03.000+02:00",
            is("r4 m4 r3", false),
        ),
        ("?after=2023-12-31T22:30:03-01:30", is("r4 m4 r3", false)),
        ("?after=2024-01-01t00:00:03z", is("r4 m4 r3", false)),
        // Between two milliseconds: neither of them may be excluded.
        ("?after=2024-01-01T00:00:03.0005Z", is("r4 m4 r3", false)),
        ("?before=2024-01-01T00:00:02.0005Z", is("m2 r1 m1", false)),
        (
            "?after=1970-01-01T00:00:00Z&before=2024-01-01T00:00:02Z&limit=1",
            is("r1", true),
        ),
    ] {
        assert_eq!(
            shown(&page(&server, &session, query).await),
            expected,
            "{query}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_bound_is_refused() {
    let server = Server::start().await;
    let session = conversation(&server, 1).await;
    let transcript = format!("/api/messaging/channels/{session}/messages");
    for path in [at(&session, "/messages"), transcript] {
        for parameter in ["before", "after"] {
            for value in [
                "yesterday",
                "1.5",
                "1e3",
                "NaN",
                "9007199254740993",
                "-9007199254740993",
                "99999999999999999999",
                "2024-01-01",
                "2024-01-01T00:00:00",
                "2024-13-01T00:00:00Z",
                "12:00",
                "null",
            ] {
                let refused = server.get(&format!("{path}?{parameter}={value}")).await;
                let details = refused.invalid("InvalidPaginationError");
                assert_eq!(names(&details), ["parameter", "value", "reason"]);
                assert_eq!(details["parameter"], parameter);
                assert_eq!(details["value"], value);
                assert!(details["reason"].is_string());
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_history_of_an_unknown_session_is_not_found() {
    let server = Server::start().await;
    for path in [
        at(UNKNOWN_ID, "/messages"),
        format!("/api/messaging/channels/{UNKNOWN_ID}/messages"),
    ] {
        let missing = server.get(&path).await;
        let details = missing.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
        assert_eq!(details, json!({ "sessionId": UNKNOWN_ID }));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_history_has_only_its_own_sessions_messages() {
    let server = Server::start().await;
    let (one, two) = (
        conversation(&server, 2).await,
        conversation(&server, 1).await,
    );
    server.advance(MINUTE);
    assert_eq!(server.history(&one).await.len(), 4);
    assert_eq!(server.history(&two).await.len(), 2);
    server.delete(&at(&one, "")).await.expect(200);
    assert_eq!(server.history(&two).await.len(), 2);
    server.advance(Duration::from_millis(1));
    server.stop().await;
}
