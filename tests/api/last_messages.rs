//! Listing sessions with their newest messages.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ELIZA, HOUR, SECOND, SESSIONS, START, Server, USER, answer, at, names};
use crate::jwt;

async fn list(server: &Server, query: &str) -> Value {
    let path = format!("{SESSIONS}{query}");
    server.get(&path).await.expect(200).body
}

/// Creates a session in a millisecond of its own.
async fn create(server: &Server, title: &str) -> String {
    server.advance(Duration::from_millis(1));
    let fields = json!({ "metadata": { "title": title } });
    server.session_with(fields).await
}

fn id(session: &Value) -> &str {
    session["sessionId"].as_str().unwrap()
}

/// Returns the previews of a page: the session's id and its `lastMessage`.
fn previews(page: &Value) -> Vec<(&str, &Value)> {
    let sessions = page["sessions"].as_array().unwrap().iter();
    let preview = |it| (id(it), it.get("lastMessage").expect("a message or null"));
    sessions.map(preview).collect()
}

#[tokio::test]
async fn each_session_has_its_newest_message_on_request() {
    let server = Server::start().await;
    let asked = create(&server, "asked").await;
    server.ask(&asked, "say first").await;
    server.advance(SECOND);
    server.ask(&asked, "say the newest reply").await;
    let silent = create(&server, "silent").await;
    let waiting = create(&server, "long wait").await;
    let message = server.tell(&waiting, "say no|hold").await;

    let asked_last = server.history_of(&asked, 4).await.pop().unwrap();
    let waiting_last = server.history_of(&waiting, 1).await.pop().unwrap();
    assert_eq!(waiting_last["id"], message);
    let expected = [
        (
            &waiting,
            json!({
                "content": "say no|hold", "isAgent": false, "createdAt": waiting_last["createdAt"],
            }),
        ),
        (&silent, Value::Null),
        (
            &asked,
            json!({
                "content": "the newest reply", "isAgent": true, "createdAt": asked_last["createdAt"],
            }),
        ),
    ];
    for (query, range) in [
        ("", 0..3),
        ("&limit=10", 0..3),
        ("&limit=2", 0..2),
        ("&status=all", 0..3),
        ("&q=s", 1..3),
        ("&q=l&status=all", 0..2),
    ] {
        let page = list(&server, &format!("?include=lastMessage{query}")).await;
        let expected = expected[range].iter();
        let expected: Vec<_> = expected.map(|(id, last)| (id.as_str(), last)).collect();
        assert_eq!(previews(&page), expected, "{query}");
    }
    // The same sessions otherwise, and nothing new without the parameter.
    let with = list(&server, "?include=lastMessage").await;
    let plain = list(&server, "?include=%20").await;
    assert_eq!(names(&with), names(&plain));
    assert_eq!(
        (&with["total"], &with["stats"]),
        (&plain["total"], &plain["stats"])
    );
    for (with, plain) in std::iter::zip(
        with["sessions"].as_array().unwrap(),
        plain["sessions"].as_array().unwrap(),
    ) {
        let mut with = with.clone();
        with.as_object_mut().unwrap().remove("lastMessage");
        assert_eq!(with, *plain);
    }
    assert!(server.info(&asked).await.get("lastMessage").is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_long_message_is_cut_at_a_character() {
    let server = Server::start().await;
    for (content, expected) in [
        ("é".repeat(120), "é".repeat(120)),
        ("é".repeat(121), "é".repeat(120)),
        ("𝄞".repeat(4000), "𝄞".repeat(120)),
        (
            format!("{}🏳️‍🌈", "x".repeat(119)),
            format!("{}🏳", "x".repeat(119)),
        ),
        ("\"\n\u{2028}\\".repeat(40), "\"\n\u{2028}\\".repeat(30)),
    ] {
        let session = create(&server, "long").await;
        let sent = json!({ "content": content });
        server.send(&session, sent).await.expect(201);
        let page = list(&server, "?include=lastMessage&limit=1").await;
        let last = previews(&page)[0].1;
        // The agent's echo may already be the last one; it has the same text.
        assert_eq!(last["content"], expected);
        assert_eq!(names(last), ["content", "isAgent", "createdAt"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn previews_come_with_every_page_and_the_whole_list() {
    let server = Server::start().await;
    let mut expected = Vec::new();
    for _ in 0..9 {
        server.advance(Duration::from_millis(1));
        let sessions = join_all((0..30).map(|_| server.session())).await;
        join_all(sessions.iter().map(|id| server.tell(id, id))).await;
        expected.extend(sessions);
    }
    expected.sort_unstable_by(|one, other| other.cmp(one));
    let whole = list(&server, "?include=lastMessage").await;
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&server, &format!("?include=lastMessage&limit=100{cursor}")).await;
        paged.extend(previews(&page).into_iter().map(|it| it.0.to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, expected);
    assert_eq!(whole["total"], expected.len());
    let ids: Vec<_> = previews(&whole).into_iter().map(|it| it.0).collect();
    assert_eq!(ids, expected);
    for (id, last) in previews(&whole) {
        let content = last["content"].as_str().unwrap();
        assert!(content.contains(id), "its own message: {content}");
    }
    server.stop().await;
}

#[tokio::test]
async fn expired_sessions_have_a_preview_too() {
    let server = Server::start().await;
    let session = create(&server, "old").await;
    server.ask(&session, "say goodbye").await;
    server.advance(HOUR);
    let page = list(&server, "?include=lastMessage&status=expired").await;
    let (id, last) = previews(&page)[0];
    assert_eq!(
        (id, &last["content"]),
        (session.as_str(), &json!("goodbye"))
    );
    server
        .get(&at(&session, ""))
        .await
        .error(410, "SESSION_EXPIRED", "SessionExpiredError");
    server.stop().await;
}

#[tokio::test]
async fn a_user_sees_previews_of_its_own_sessions_only() {
    let server = Server::builder()
        .set("SESSIOND_ADMIN_TOKEN", "the admins' token")
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    let token = jwt::token(USER, START.0 / 1000 + 3600);
    let call = async |request: reqwest::RequestBuilder| answer(request.bearer_auth(&token)).await;
    let created = call(server.creating(&json!({ "agentId": ELIZA })))
        .await
        .expect(201)
        .body;
    let id = created["sessionId"].as_str().unwrap();
    let sent = json!({ "content": "Hello", "transport": "http" });
    let reply = call(server.sending(id, &sent)).await.expect(201).body;
    let path = format!("{SESSIONS}?include=lastMessage");
    let refused = call(server.request(Method::GET, &path)).await;
    refused.error(403, "FORBIDDEN", "ForbiddenError");
    let own = format!("{path}&userId={USER}");
    let page = call(server.request(Method::GET, &own))
        .await
        .expect(200)
        .body;
    let text = reply["agentResponse"]["text"].as_str().unwrap();
    let expected: String = text.chars().take(120).collect();
    assert_eq!(previews(&page)[0].1["content"], expected);
    server.stop().await;
}
