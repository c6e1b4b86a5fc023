//! Finding sessions: by their status, and by a text.

use std::time::Duration;

use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    ELIZA, HOUR, MINUTE, SCRIPTED, SESSIONS, START, Server, UNKNOWN_ID, USER, answer, at, names,
    time,
};
use crate::jwt;

const OTHER: &str = "22222222-0000-0000-0000-000000000002";

/// Creates a session in a millisecond of its own.
async fn create(server: &Server, fields: Value) -> String {
    server.advance(Duration::from_millis(1));
    server.session_with(fields).await
}

fn lasting(minutes: u32) -> Value {
    json!({ "timeoutConfig": { "timeoutMinutes": minutes } })
}

fn titled(title: &str) -> Value {
    json!({ "metadata": { "title": title } })
}

async fn list(server: &Server, query: &[(&str, &str)]) -> Value {
    server.get(&listing(query)).await.expect(200).body
}

/// Returns the path of the list with these parameters.
fn listing(query: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = query
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)));
    format!("{SESSIONS}?{}", pairs.collect::<Vec<_>>().join("&"))
}

fn ids(page: &Value) -> Vec<&str> {
    let sessions = page["sessions"].as_array().unwrap().iter();
    sessions
        .map(|session| session["sessionId"].as_str().unwrap())
        .collect()
}

/// Returns the ids on each page.
async fn all_pages(server: &Server, query: &[(&str, &str)]) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut query = query.to_vec();
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = list(server, &query).await;
        pages.push(ids(&page).into_iter().map(str::to_owned).collect());
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn a_session_shows_its_status_and_how_long_it_is_retained() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "90")
        .start()
        .await;
    let created = server.create(json!({})).await.expect(201).body;
    assert_eq!(created["status"], "active");
    assert!(created.get("retainedUntil").is_none());
    let id = created["sessionId"].as_str().unwrap();
    assert_eq!(server.info(id).await["status"], "active");
    server.advance(30 * MINUTE);
    let page = list(&server, &[("status", "expired")]).await;
    let expired = &page["sessions"][0];
    assert_eq!(expired["sessionId"], id);
    assert_eq!(expired["status"], "expired");
    assert_eq!(expired["retainedUntil"], time(120 * MINUTE));
    assert_eq!(expired["timeRemaining"], 0);
    let mut active = expired.clone();
    active.as_object_mut().unwrap().remove("retainedUntil");
    assert_eq!(names(&active), names(&created), "the same fields otherwise");
    // Under its own path it is still expired.
    let gone = server.get(&at(id, "")).await;
    gone.error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn the_retention_is_that_of_the_running_process() {
    let mut server = Server::start().await;
    server.session().await;
    server.advance(HOUR);
    server
        .restart_with(|setup| setup.set("SESSION_RETENTION_MINUTES", "120"))
        .await;
    let page = list(&server, &[("status", "expired")]).await;
    assert_eq!(page["sessions"][0]["retainedUntil"], time(150 * MINUTE));
    server.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_by_status() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    let mut all = Vec::new();
    for round in 0..4 {
        let user = if round % 2 == 0 { USER } else { OTHER };
        let mut short = lasting(5);
        short["userId"] = json!(user);
        all.push((create(&server, short).await, "expired", user, SCRIPTED));
        let mut long = lasting(300);
        long["userId"] = json!(user);
        long["agentId"] = json!(ELIZA);
        all.push((create(&server, long).await, "active", user, ELIZA));
    }
    server.advance(10 * MINUTE);
    all.reverse();
    let stats = json!({ "totalSessions": 8, "activeSessions": 4, "expiredSessions": 4 });
    for status in ["active", "expired", "all", ""] {
        let wanted = if status.is_empty() { "active" } else { status };
        for (filter, value) in [
            (None, ""),
            (Some("userId"), USER),
            (Some("userId"), UNKNOWN_ID),
            (Some("agentId"), ELIZA),
            (Some("agentId"), SCRIPTED),
        ] {
            let expected: Vec<_> = all
                .iter()
                .filter(|it| wanted == "all" || it.1 == wanted)
                .filter(|it| filter.is_none() || [it.2, it.3].contains(&value))
                .map(|it| it.0.as_str())
                .collect();
            let mut query = vec![("status", status)];
            query.extend(filter.map(|filter| (filter, value)));
            let page = list(&server, &query).await;
            assert_eq!(ids(&page), expected, "{query:?}");
            assert_eq!(page["total"], expected.len(), "{query:?}");
            assert_eq!(page["stats"], stats, "stats ignore the filters");
            query.push(("limit", "3"));
            let page = list(&server, &query).await;
            assert_eq!(page["total"], expected.len(), "{query:?}");
            assert_eq!(all_pages(&server, &query).await.concat(), expected);
        }
    }
    // Their retention is over, whether or not they are purged.
    server.advance(55 * MINUTE);
    assert_eq!(ids(&list(&server, &[("status", "expired")]).await), [""; 0]);
    let page = list(&server, &[("status", "all")]).await;
    assert_eq!((ids(&page).len(), &page["total"]), (4, &json!(4)));
    server.stop().await;
}

#[tokio::test]
async fn other_than_active_ones_are_paged() {
    let server = Server::start().await;
    for _ in 0..3 {
        join_all((0..35).map(|_| server.session())).await;
    }
    for query in [vec![], vec![("status", "active")], vec![("q", " ")]] {
        let page = list(&server, &query).await;
        assert_eq!(ids(&page).len(), 105, "{query:?}");
        assert!(page.get("nextCursor").is_none());
    }
    for query in [[("status", "all")], [("q", USER)]] {
        let page = list(&server, &query).await;
        assert_eq!(ids(&page).len(), 100, "{query:?}");
        assert!(page["nextCursor"].is_string());
        let pages = all_pages(&server, &query).await;
        assert_eq!(pages[1].len(), 5);
    }
    server.stop().await;
}

#[tokio::test]
async fn expired_sessions_are_found_behind_many_active_ones() {
    let server = Server::start().await;
    let mut expired = Vec::new();
    for _ in 0..6 {
        expired.push(create(&server, lasting(5)).await);
        let mut eliza = lasting(5);
        eliza["agentId"] = json!(ELIZA);
        expired.push(create(&server, eliza).await);
        server.advance(Duration::from_millis(1));
        join_all((0..101).map(|_| server.session_with(lasting(300)))).await;
    }
    server.advance(10 * MINUTE);
    expired.reverse();
    for limit in ["1", "5", "11", "12", "100"] {
        let query = [("status", "expired"), ("limit", limit)];
        let pages = all_pages(&server, &query).await;
        assert_eq!(pages.concat(), expired, "{limit}");
        let page = list(&server, &query).await;
        assert_eq!(page["total"], 12);
    }
    let query = [("status", "expired"), ("agentId", ELIZA), ("limit", "4")];
    let page = list(&server, &query).await;
    assert_eq!(page["total"], 6);
    assert_eq!(ids(&page)[0], expired[0]);
    assert_eq!(all_pages(&server, &query).await.concat().len(), 6);
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_status_or_text_is_refused() {
    let server = Server::start().await;
    let long = "é".repeat(101);
    for (parameter, value, word) in [
        ("status", "gone", "active, expired or all"),
        ("status", "Active", "active, expired or all"),
        ("q", &long, "100 characters"),
        ("include", "lastmessage", "lastMessage"),
        ("include", "lastMessage,stats", "lastMessage"),
    ] {
        let refused = server.get(&listing(&[(parameter, value)])).await;
        let details = refused.invalid("InvalidPaginationError");
        assert_eq!(details["parameter"], parameter);
        assert!(details["reason"].as_str().unwrap().contains(word));
    }
    let page = list(&server, &[("q", &"é".repeat(100)), ("status", " ")]).await;
    assert_eq!(ids(&page), [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn a_text_finds_sessions_by_their_metadata_and_ids() {
    let server = Server::start().await;
    let trip = create(&server, titled("Trip to ÖSTERREICH")).await;
    let tax = json!({ "userId": OTHER, "metadata": {
        "title": "Taxes 2024", "project": "Über \"us\"", "year": 2024, "list": ["hidden"],
        "in": { "title": "hidden" }, "hidden": true,
    } });
    let tax = create(&server, tax).await;
    let bare = create(&server, json!({})).await;
    let found = async |text: &str| -> Vec<String> {
        let page = list(&server, &[("q", text)]).await;
        assert_eq!(names(&page), ["sessions", "stats"], "no total: {text}");
        ids(&page).into_iter().map(str::to_owned).collect()
    };
    for (text, expected) in [
        ("trip", vec![&trip]),
        ("österreich", vec![&trip]),
        ("T", vec![&tax, &trip]),
        ("taxes 2024", vec![&tax]),
        ("über \"U", vec![&tax]),
        ("hidden", vec![]),
        ("title", vec![]),
        (&trip, vec![&trip]),
        (&trip.to_uppercase(), vec![&trip]),
        (&trip.replace('-', ""), vec![&trip]),
        (&trip[..20], vec![&trip]),
        (&bare[24..], vec![&bare]),
        (&bare[32..], vec![&bare]),
        (&format!(" {} ", &bare[28..]), vec![&bare]),
        (OTHER, vec![&tax]),
        ("2222-2222-00", vec![&tax]),
        ("00000002", vec![&tax]),
        ("222", vec![]),
        ("00000001", vec![&bare, &trip]),
        ("-0000-00-01-", vec![&bare, &trip]),
        (&OTHER[4..20], vec![]),
    ] {
        assert_eq!(
            found(text).await,
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{text}"
        );
    }
    let both = list(&server, &[("q", "t"), ("userId", OTHER)]).await;
    assert_eq!(ids(&both), [&tax]);
    let both = list(&server, &[("q", "t"), ("agentId", ELIZA)]).await;
    assert_eq!(ids(&both), [""; 0]);
    server.advance(HOUR);
    assert_eq!(found("trip").await, [""; 0], "active ones only");
    for status in ["expired", "all"] {
        let page = list(&server, &[("q", "trip"), ("status", status)]).await;
        assert_eq!(ids(&page), [&trip]);
        assert_eq!(page["sessions"][0]["status"], "expired");
    }
    server.stop().await;
}

#[tokio::test]
async fn found_sessions_are_paged_without_gaps() {
    let server = Server::start().await;
    let mut matching = Vec::new();
    for number in 0..30 {
        let session = create(&server, titled(&format!("number {number}"))).await;
        if number % 3 == 0 {
            matching.push(create(&server, titled("Needle")).await);
        }
        drop(session);
    }
    matching.reverse();
    for limit in ["1", "3", "9", "10", "1000"] {
        let pages = all_pages(&server, &[("q", "needle"), ("limit", limit)]).await;
        assert_eq!(pages.concat(), matching, "{limit}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_cursor_belongs_to_its_search() {
    let server = Server::start().await;
    for _ in 0..3 {
        create(&server, titled("Needle")).await;
    }
    let first = list(&server, &[("q", "needle"), ("limit", "1")]).await;
    let cursor = first["nextCursor"].as_str().expect("a second page");
    // The conditions are compared as they are applied.
    let same = [("q", "NEEDLE"), ("cursor", cursor), ("status", "active")];
    assert_eq!(ids(&list(&server, &same).await).len(), 2);
    let plain = list(&server, &[("limit", "1")]).await;
    let plain = plain["nextCursor"].as_str().expect("a second page");
    for query in [
        vec![("q", "needles"), ("cursor", cursor)],
        vec![("q", "needle"), ("cursor", cursor), ("status", "all")],
        vec![("q", "needle"), ("cursor", cursor), ("userId", USER)],
        vec![("q", "needle"), ("cursor", cursor), ("agentId", ELIZA)],
        vec![("cursor", cursor)],
        vec![("q", "needle"), ("cursor", plain)],
        vec![("q", "needle"), ("cursor", "")],
    ] {
        let refused = server.get(&listing(&query)).await;
        let details = refused.invalid("InvalidPaginationError");
        assert_eq!(details["parameter"], "cursor", "{query:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn each_earlier_session_is_found_once_while_others_come_and_go() {
    // The time is over at once, so that pages are short or empty.
    let server = Server::builder().scan_budget(Duration::ZERO).start().await;
    let title = |number: usize| {
        if number.is_multiple_of(5) {
            "Needle"
        } else {
            "hay"
        }
    };
    let mut sessions = Vec::new();
    for number in 0..240 {
        sessions.push(create(&server, titled(title(number))).await);
    }
    let is_match = |at: usize| at.is_multiple_of(5);
    let (mut deleted, mut found, mut pages) = (Vec::new(), Vec::new(), 0);
    let (mut cursor, mut seed) = (String::new(), 7_usize);
    loop {
        let mut query = vec![("q", "needle"), ("limit", "7")];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = list(&server, &query).await;
        pages += 1;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        next.clone_into(&mut cursor);
        seed = (seed * 31 + 17) % sessions.len();
        if !deleted.contains(&seed) {
            server.delete(&at(&sessions[seed], "")).await.expect(200);
            deleted.push(seed);
        }
        create(&server, titled("Needle")).await;
    }
    assert!(pages > 10, "short pages: {pages}");
    let mut distinct = found.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), found.len(), "none twice");
    for (at, id) in sessions.iter().enumerate() {
        if is_match(at) && !deleted.contains(&at) {
            assert!(found.contains(id), "{at}");
        }
    }
    assert!(found.is_sorted_by(|one, next| one > next));
    server.stop().await;
}

#[tokio::test]
async fn a_user_finds_its_own_sessions() {
    let server = Server::builder()
        .set("SESSIOND_ADMIN_TOKEN", "the admins' token")
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    let call = async |user: &str, query: &[(&str, &str)]| {
        let token = jwt::token(user, START.0 / 1000 + 24 * 3600);
        let request = server.request(Method::GET, &listing(query));
        answer(request.bearer_auth(token)).await
    };
    for user in [USER, OTHER] {
        let token = jwt::token(user, START.0 / 1000 + 3600);
        let mut fields = titled("plan");
        fields["userId"] = json!(user);
        let created = server.creating(&fields).bearer_auth(token);
        answer(created).await.expect(201);
    }
    for query in [
        vec![("q", "plan")],
        vec![("status", "all")],
        vec![("q", "plan"), ("userId", OTHER)],
    ] {
        let refused = call(USER, &query).await;
        refused.error(403, "FORBIDDEN", "ForbiddenError");
    }
    let own = [("q", "plan"), ("userId", USER), ("status", "all")];
    let page = call(USER, &own).await.expect(200).body;
    assert_eq!(page["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(page["sessions"][0]["userId"], USER);
    let stats = json!({ "totalSessions": 1, "activeSessions": 1, "expiredSessions": 0 });
    assert_eq!(page["stats"], stats);
    server.advance(HOUR);
    let expired = [("userId", USER), ("status", "expired")];
    let page = call(USER, &expired).await.expect(200).body;
    assert_eq!(
        (&page["total"], &page["sessions"][0]["userId"]),
        (&json!(1), &json!(USER))
    );
    server.stop().await;
}
