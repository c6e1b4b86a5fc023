//! Listing sessions.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, MINUTE, SCRIPTED, SESSIONS, Server, UNKNOWN_ID, USER, at, names,
};

const OTHER: &str = "22222222-0000-0000-0000-000000000002";

/// Creates sessions with these fields and returns their ids, oldest first. Each is created in a
/// millisecond of its own, since only that orders them.
async fn create(server: &Server, count: usize, fields: Value) -> Vec<String> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        server.advance(Duration::from_millis(1));
        sessions.push(server.session_with(fields.clone()).await);
    }
    sessions
}

fn ids(page: &Value) -> Vec<String> {
    let sessions = page["sessions"].as_array().unwrap().iter();
    sessions
        .map(|session| session["sessionId"].as_str().unwrap().to_owned())
        .collect()
}

async fn list(server: &Server, query: &str) -> Value {
    server
        .get(&format!("{SESSIONS}{query}"))
        .await
        .expect(200)
        .body
}

/// Returns the ids on each page of a list.
async fn all_pages(server: &Server, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = list(server, &format!("{query}{cursor}")).await;
        pages.push(ids(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn an_empty_list_has_the_usual_form() {
    let server = Server::start().await;
    let stats = json!({ "totalSessions": 0, "activeSessions": 0, "expiredSessions": 0 });
    let expected = json!({ "sessions": [], "total": 0, "stats": stats });
    for query in ["", "?limit=5", &format!("?userId={USER}")] {
        assert_eq!(list(&server, query).await, expected, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn without_parameters_all_active_sessions_are_listed_newest_first() {
    let server = Server::start().await;
    let mut sessions = create(&server, 7, json!({})).await;
    server.ask(&sessions[2], "activity does not move it").await;
    sessions.reverse();
    let page = list(&server, "").await;
    assert_eq!(names(&page), ["sessions", "total", "stats"]);
    assert_eq!(ids(&page), sessions);
    assert_eq!(page["total"], 7);
    for (shown, session) in page["sessions"].as_array().unwrap().iter().zip(&sessions) {
        assert_eq!(*shown, server.info(session).await);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_long_list_is_complete_and_in_order() {
    let server = Server::start().await;
    let mut sessions = Vec::new();
    for _ in 0..15 {
        server.advance(Duration::from_millis(1));
        let creates = (0..30).map(|_| server.session());
        sessions.extend(join_all(creates).await);
    }
    sessions.sort_by(|a, b| b.cmp(a));
    let page = list(&server, "").await;
    assert_eq!(ids(&page), sessions);
    assert_eq!(page["total"], 450);
    let pages = all_pages(&server, "?limit=200").await;
    let lengths: Vec<_> = pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [200, 200, 50]);
    assert_eq!(pages.concat(), sessions);
    server.stop().await;
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_sessions() {
    let server = Server::start().await;
    let mut sessions = create(&server, 10, json!({})).await;
    sessions.reverse();
    for (limit, lengths) in [
        (1, vec![1; 10]),
        (3, vec![3, 3, 3, 1]),
        (5, vec![5, 5]),
        (9, vec![9, 1]),
        (10, vec![10]),
        (1000, vec![10]),
    ] {
        let pages = all_pages(&server, &format!("?limit={limit}")).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
        assert_eq!(
            pages.concat(),
            sessions,
            "no nextCursor on the last page of {limit}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn paging_is_stable_while_sessions_are_created_and_deleted() {
    let server = Server::start().await;
    let sessions = create(&server, 9, json!({})).await;
    let first = list(&server, "?limit=3").await;
    assert_eq!(
        ids(&first),
        [&sessions[8], &sessions[7], &sessions[6]].map(Clone::clone)
    );
    // New sessions; deleted: one of an earlier page, the cursor's own, one of a later page.
    let newer = create(&server, 2, json!({})).await;
    for gone in [&sessions[7], &sessions[6], &sessions[4]] {
        server.delete(&at(gone, "")).await.expect(200);
    }
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = list(&server, &format!("?limit=3&cursor={cursor}")).await;
    assert_eq!(
        ids(&second),
        [&sessions[5], &sessions[3], &sessions[2]].map(Clone::clone)
    );
    assert_eq!(second["total"], 8, "all active sessions");
    server
        .post(&at(&sessions[1], "/renew"), json!({}))
        .await
        .expect(200);
    let cursor = second["nextCursor"].as_str().unwrap();
    let third = list(&server, &format!("?limit=3&cursor={cursor}")).await;
    assert_eq!(ids(&third), [&sessions[1], &sessions[0]].map(Clone::clone));
    assert_eq!(third["nextCursor"], Value::Null);
    assert_eq!(
        ids(&list(&server, "?limit=2").await),
        [&newer[1], &newer[0]].map(Clone::clone)
    );
    server.stop().await;
}

#[tokio::test]
async fn the_default_page_size_is_100() {
    let server = Server::start().await;
    let mut sessions = join_all((0..102).map(|_| server.session())).await;
    sessions.sort_by(|a, b| b.cmp(a));
    let first = list(&server, "?limit=1").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = list(&server, &format!("?cursor={cursor}")).await;
    assert_eq!(ids(&second), sessions[1..101]);
    let cursor = second["nextCursor"].as_str().unwrap().to_uppercase();
    let third = list(&server, &format!("?cursor={cursor}")).await;
    assert_eq!(ids(&third), sessions[101..]);
    assert_eq!(third["nextCursor"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn filters_select_sessions_and_the_total_counts_matches() {
    let server = Server::start().await;
    let mut of_both = Vec::new();
    for _ in 0..4 {
        create(&server, 2, json!({})).await;
        create(&server, 2, json!({ "userId": OTHER })).await;
        create(&server, 1, json!({ "agentId": ELIZA })).await;
        of_both.extend(create(&server, 1, json!({ "userId": OTHER, "agentId": ELIZA })).await);
    }
    of_both.reverse();
    let stats = json!({ "totalSessions": 24, "activeSessions": 24, "expiredSessions": 0 });
    for (query, total) in [
        (format!("?userId={USER}"), 12),
        (format!("?userId={OTHER}"), 12),
        (format!("?userId={UNKNOWN_ID}"), 0),
        (format!("?agentId={ELIZA}"), 8),
        (format!("?agentId={SCRIPTED}"), 16),
        (format!("?agentId={UNKNOWN_ID}"), 0),
        (format!("?agentId={ELIZA}&userId={OTHER}"), 4),
    ] {
        let all = list(&server, &query).await;
        assert_eq!(all["total"], total, "{query}");
        assert_eq!(all["sessions"].as_array().unwrap().len(), total, "{query}");
        assert_eq!(all["stats"], stats, "stats ignore the filters");
        for limit in [1, 3, 4, 100] {
            let paged = format!("{query}&limit={limit}");
            assert_eq!(list(&server, &paged).await["total"], total, "{paged}");
            assert_eq!(
                all_pages(&server, &paged).await.concat(),
                ids(&all),
                "{paged}"
            );
        }
    }
    let both = list(&server, &format!("?agentId={ELIZA}&userId={OTHER}")).await;
    assert_eq!(ids(&both), of_both);
    server.stop().await;
}

#[tokio::test]
async fn rare_matches_of_a_filter_are_found() {
    let server = Server::start().await;
    let rare = create(&server, 2, json!({ "agentId": ELIZA })).await;
    server.advance(Duration::from_millis(1));
    for _ in 0..10 {
        join_all((0..41).map(|_| server.session())).await;
    }
    let query = format!("?agentId={ELIZA}&limit=1");
    let pages = all_pages(&server, &query).await;
    assert_eq!(pages, [vec![rare[1].clone()], vec![rare[0].clone()]]);
    assert_eq!(list(&server, &query).await["total"], 2);
    server.stop().await;
}

#[tokio::test]
async fn expired_sessions_are_counted_while_retained_and_never_listed() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    create(&server, 3, json!({})).await;
    let config = json!({ "timeoutMinutes": 300 });
    let lasting = create(&server, 2, json!({ "timeoutConfig": config })).await;
    server.set_clock(35 * MINUTE);
    let page = list(&server, "").await;
    assert_eq!(ids(&page), [&lasting[1], &lasting[0]].map(Clone::clone));
    assert_eq!(page["total"], 2);
    let stats = json!({ "totalSessions": 5, "activeSessions": 2, "expiredSessions": 3 });
    assert_eq!(page["stats"], stats);
    let filtered = list(&server, &format!("?userId={USER}&limit=1")).await;
    assert_eq!(
        (&filtered["total"], &filtered["stats"]),
        (&json!(2), &stats)
    );
    server.set_clock(95 * MINUTE);
    let stats = json!({ "totalSessions": 2, "activeSessions": 2, "expiredSessions": 0 });
    assert_eq!(list(&server, "").await["stats"], stats);
    server.stop().await;
}

#[tokio::test]
async fn active_sessions_are_found_among_many_expired_ones() {
    let server = Server::start().await;
    let short = || json!({ "timeoutConfig": { "timeoutMinutes": 5 } });
    let long = || json!({ "timeoutConfig": { "timeoutMinutes": 300 } });
    let mut active = Vec::new();
    let mut expired = Vec::new();
    for _ in 0..6 {
        active.extend(create(&server, 1, long()).await);
        let eliza = json!({ "timeoutConfig": { "timeoutMinutes": 300 }, "agentId": ELIZA });
        active.extend(create(&server, 1, eliza).await);
        server.advance(Duration::from_millis(1));
        expired.extend(join_all((0..101).map(|_| server.session_with(short()))).await);
    }
    server.advance(10 * MINUTE);
    active.extend(create(&server, 3, short()).await);
    active.reverse();

    let page = list(&server, "").await;
    assert_eq!(ids(&page), active);
    let stats = json!({ "totalSessions": 621, "activeSessions": 15, "expiredSessions": 606 });
    assert_eq!((&page["total"], &page["stats"]), (&json!(15), &stats));
    for limit in [1, 4, 14, 15, 100] {
        let pages = all_pages(&server, &format!("?limit={limit}")).await;
        assert_eq!(pages.concat(), active, "{limit}");
        assert_eq!(pages.len(), active.len().div_ceil(limit), "{limit}");
    }
    let filtered = list(&server, &format!("?agentId={ELIZA}&limit=4")).await;
    assert_eq!(filtered["total"], 6);
    assert_eq!(ids(&filtered)[0], active[3]);
    server.session_with(json!({ "userId": OTHER })).await;
    let own = list(&server, &format!("?userId={USER}")).await;
    assert_eq!((ids(&own), &own["total"]), (active.clone(), &json!(15)));
    // A cursor may be the id of any session; those below it follow.
    expired.sort_unstable();
    let cursor = &expired[3 * 101];
    let below: Vec<_> = active.iter().filter(|id| *id < cursor).cloned().collect();
    assert_eq!(below.len(), 8);
    assert_eq!(
        ids(&list(&server, &format!("?cursor={cursor}")).await),
        below
    );
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_parameter_is_refused() {
    let server = Server::start().await;
    let refuse = async |query: &str| -> Answer {
        let path = format!("{SESSIONS}?{query}");
        server.get(&path).await
    };
    for (parameter, value) in [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "1.5"),
        ("limit", "ten"),
        ("limit", "NaN"),
        ("limit", ""),
        ("cursor", "abc"),
        ("cursor", ""),
        ("cursor", "0"),
    ] {
        let refused = refuse(&format!("{parameter}={value}")).await;
        let details = refused.invalid("InvalidPaginationError");
        assert_eq!(names(&details), ["parameter", "value", "reason"]);
        assert_eq!(
            (&details["parameter"], &details["value"]),
            (&json!(parameter), &json!(value))
        );
        assert!(details["reason"].is_string());
    }
    for field in ["agentId", "userId"] {
        let details = refuse(&format!("{field}=abc"))
            .await
            .invalid("InvalidUuidError");
        assert_eq!(details, json!({ "field": field, "value": "abc" }));
    }
    server.stop().await;
}
