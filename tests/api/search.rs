//! Searching messages.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ELIZA, HOUR, MINUTE, SCRIPTED, SESSIONS, START, Server, UNKNOWN_ID, USER, answer, at,
    eventually, names,
};
use crate::jwt;

const SEARCH: &str = "/api/messaging/messages/search";
const OTHER: &str = "22222222-bbbb-0000-0000-000000000002";
const ADMIN: &str = "the admins' token";
const SERVER: &str = "the server's token";

async fn search(server: &Server, body: Value) -> Value {
    server.post(SEARCH, body).await.expect(200).body
}

fn found(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["content"].as_str().unwrap())
        .collect()
}

/// Sends a message without a reply.
async fn say(server: &Server, session: &str, content: &str) {
    server.advance(Duration::from_millis(1));
    let sent = json!({ "content": content, "transport": "http" });
    server.send(session, sent).await;
}

/// Returns the contents of each page of a search.
async fn all_pages(server: &Server, body: &Value) -> Vec<Vec<String>> {
    let (mut pages, mut body) = (Vec::new(), body.clone());
    loop {
        let page = search(server, body.clone()).await;
        pages.push(found(&page).into_iter().map(str::to_owned).collect());
        let complete = page["complete"].as_bool().unwrap();
        assert_eq!(complete, page.get("nextCursor").is_none(), "{page:#}");
        if complete {
            return pages;
        }
        body["cursor"] = page["nextCursor"].clone();
    }
}

#[tokio::test]
async fn a_found_message_is_that_of_the_list_with_its_session() {
    let server = Server::start().await;
    let session = server
        .session_with(json!({ "metadata": { "username": "Ada" } }))
        .await;
    let attachments = json!([{ "type": "image", "url": "https://example.org/a.png" }]);
    let sent = json!({
        "content": "say Hello There", "transport": "http", "metadata": { "a": 1 },
        "attachments": attachments,
    });
    server.send(&session, sent).await.expect(201);
    let page = search(&server, json!({ "query": "hello THERE" })).await;
    assert_eq!(
        names(&page),
        ["messages", "complete"],
        "no success: the client unwraps data"
    );
    assert_eq!(page["complete"], true);
    let listed = server.history(&session).await;
    let messages = page["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    for (message, listed) in messages.iter().zip(listed.iter().rev()) {
        let mut expected = listed.clone();
        expected["channelId"] = json!(session);
        expected["sessionId"] = json!(session);
        expected["agentId"] = json!(SCRIPTED);
        expected["userId"] = json!(USER);
        expected["updatedAt"] = listed["createdAt"].clone();
        assert_eq!(*message, expected);
    }
    assert_eq!(messages[1]["metadata"]["username"], "Ada");
    assert_eq!(messages[1]["attachments"], attachments);
    server.stop().await;
}

#[tokio::test]
async fn each_field_limits_the_search() {
    let server = Server::start().await;
    let own = server.session().await;
    server.ask(&own, "say first").await;
    server.advance(MINUTE);
    let middle = server.now();
    server.ask(&own, "say second").await;
    server.advance(MINUTE);
    let other = json!({ "userId": OTHER, "agentId": ELIZA });
    let other = server.session_with(other).await;
    server.ask(&other, "xyzzy third").await;

    let matches = async |body: Value| -> Vec<String> {
        let page = search(&server, body).await;
        found(&page).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(
        matches(json!({ "query": "SAY", "userId": USER })).await,
        ["say second", "say first"]
    );
    assert_eq!(
        matches(json!({ "query": "ZZY T", "authorId": OTHER })).await,
        ["xyzzy third"]
    );
    for blank in [
        json!({}),
        json!({ "query": null }),
        json!({ "query": " \t" }),
    ] {
        assert_eq!(matches(blank).await.len(), 6);
    }
    let own_only = ["second", "say second", "first", "say first"];
    for body in [
        json!({ "channelId": own }),
        json!({ "channelId": own.to_uppercase() }),
        json!({ "userId": USER }),
        json!({ "agentId": SCRIPTED }),
    ] {
        assert_eq!(matches(body.clone()).await, own_only, "{body}");
    }
    assert_eq!(
        matches(json!({ "authorId": SCRIPTED })).await,
        ["second", "first"]
    );
    assert_eq!(matches(json!({ "authorId": OTHER })).await, ["xyzzy third"]);
    let epoch = START.0 + 60_000;
    for time in [json!(middle), json!(epoch), json!(epoch.to_string())] {
        let since = matches(json!({ "from": time, "channelId": own })).await;
        assert_eq!(since, ["second", "say second"], "inclusive: {time}");
        let until = matches(json!({ "to": time, "channelId": own })).await;
        assert_eq!(until, ["say second", "first", "say first"], "{time}");
    }
    // Between two milliseconds.
    let after = middle.replace("000Z", "0005Z");
    assert_eq!(
        matches(json!({ "from": after, "channelId": own })).await,
        ["second"]
    );
    for body in [
        json!({ "userId": UNKNOWN_ID }),
        json!({ "agentId": UNKNOWN_ID }),
        json!({ "authorId": UNKNOWN_ID }),
        json!({ "channelId": own, "userId": OTHER }),
        json!({ "from": epoch, "to": epoch - 1 }),
        json!({ "query": "no such text" }),
    ] {
        assert_eq!(matches(body.clone()).await, [""; 0], "{body}");
    }
    let unknown = json!({ "authorId": OTHER, "serverId": 7, "from": "", "to": null, "page": 1 });
    assert_eq!(matches(unknown).await, ["xyzzy third"]);
    let first = json!({ "authorId": OTHER, "offset": 0, "page": null, "cursor": null });
    assert_eq!(matches(first).await, ["xyzzy third"]);
    server.stop().await;
}

#[tokio::test]
async fn pages_have_the_requested_size_and_no_gaps() {
    let server = Server::start().await;
    let mut expected = Vec::new();
    for number in 0..9 {
        let session = server.session().await;
        for part in 0..3 {
            let content = format!("fail {number} {part}");
            say(&server, &session, &content).await;
            expected.push(content);
        }
    }
    expected.reverse();
    for limit in [1, 4, 9, 27, 100] {
        let body = json!({ "query": "FAIL", "limit": limit });
        let pages = all_pages(&server, &body).await;
        assert_eq!(pages.concat(), expected, "{limit}");
        assert_eq!(pages.len(), 27_usize.div_ceil(limit), "{limit}");
    }
    let first = search(&server, json!({})).await;
    assert_eq!(found(&first).len(), 20, "the default");
    assert_eq!(first["complete"], false);
    server.stop().await;
}

#[tokio::test]
async fn a_search_whose_time_is_over_continues_with_its_cursor() {
    let server = Server::builder().scan_budget(Duration::ZERO).start().await;
    let mut expected = Vec::new();
    for number in 0..20 {
        let session = server.session().await;
        for part in 0..3 {
            say(&server, &session, &format!("fail {number} {part}")).await;
        }
        expected.push(format!("fail {number} 1"));
    }
    expected.reverse();
    let pages = all_pages(&server, &json!({ "query": " 1" })).await;
    let pages: Vec<_> = pages.into_iter().collect();
    assert!(pages.len() > 2, "short pages: {pages:?}");
    let mut found = pages.concat();
    found.retain(|content| content.ends_with(" 1"));
    assert_eq!(found, expected);
    let pages = all_pages(&server, &json!({ "query": "nothing" })).await;
    assert!(pages.len() > 2 && pages.concat().is_empty(), "empty pages");
    server.stop().await;
}

#[tokio::test]
async fn messages_that_are_stored_meanwhile_do_not_disturb_a_search() {
    let server = Server::start().await;
    let sessions = [server.session().await, server.session().await];
    for session in &sessions {
        for part in 0..4 {
            say(&server, session, &format!("fail old {part}")).await;
        }
    }
    let before = search(&server, json!({ "limit": 100 })).await;
    let before: Vec<_> = found(&before).into_iter().map(str::to_owned).collect();
    let mut body = json!({ "limit": 3 });
    let mut seen = Vec::new();
    for round in 0.. {
        let page = search(&server, body.clone()).await;
        seen.extend(found(&page).into_iter().map(str::to_owned));
        if page["complete"] == true {
            break;
        }
        body["cursor"] = page["nextCursor"].clone();
        for session in &sessions {
            say(&server, session, &format!("fail new {round}")).await;
        }
        let newest = server.session().await;
        say(&server, &newest, "fail newest").await;
    }
    seen.retain(|content| content.contains("old"));
    assert_eq!(seen, before);
    server.stop().await;
}

#[tokio::test]
async fn expired_sessions_are_searched_until_their_retention_is_over() {
    let server = Server::builder()
        .set("SESSION_RETENTION_MINUTES", "60")
        .start()
        .await;
    let [expired, deleted] = [server.session().await, server.session().await];
    say(&server, &expired, "fail kept").await;
    say(&server, &deleted, "fail erased").await;
    server.delete(&at(&deleted, "")).await.expect(200);
    server.advance(HOUR);
    server.get(&at(&expired, "")).await.expect(410);
    assert_eq!(found(&search(&server, json!({})).await), ["fail kept"]);
    let of_channel = search(&server, json!({ "channelId": expired })).await;
    assert_eq!(found(&of_channel), ["fail kept"]);
    server.advance(HOUR);
    assert_eq!(found(&search(&server, json!({})).await), [""; 0]);
    let gone = server.post(SEARCH, json!({ "channelId": expired })).await;
    gone.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    server.stop().await;
}

#[tokio::test]
async fn an_invalid_field_is_refused() {
    let server = Server::start().await;
    let session = server.session().await;
    let refuse = async |body: Value| -> Answer { server.post(SEARCH, body).await };
    let long = "é".repeat(201);
    for query in [json!(7), json!([]), json!(true), json!(long)] {
        let refused = refuse(json!({ "query": query, "channelId": "x" })).await;
        let details = refused.invalid("InvalidContentError");
        assert_eq!(names(&details), ["reason"]);
        assert!(
            details["reason"]
                .as_str()
                .unwrap()
                .starts_with("query must be")
        );
    }
    search(&server, json!({ "query": "é".repeat(200) })).await;
    for field in ["channelId", "authorId", "userId", "agentId"] {
        for value in [json!("abc"), json!(""), json!(7)] {
            let refused = refuse(json!({ field: value, "limit": 0 })).await;
            let details = refused.invalid("InvalidUuidError");
            assert_eq!(details["field"], field);
        }
    }
    let good = search(&server, json!({ "limit": 1, "channelId": session })).await;
    assert_eq!(good["complete"], true);
    say(&server, &session, "fail 1").await;
    say(&server, &session, "fail 2").await;
    let page = search(&server, json!({ "limit": 1 })).await;
    let cursor = page["nextCursor"].as_str().unwrap();
    search(&server, json!({ "cursor": cursor, "limit": 100 })).await;
    let forged = format!("{}0", &cursor[..63]);
    let forged = if forged == cursor {
        format!("{}1", &cursor[..63])
    } else {
        forged
    };
    for (parameter, value, shown) in [
        ("from", json!("yesterday"), "yesterday"),
        ("from", json!(1.5), "1.5"),
        ("from", json!({}), "{}"),
        ("to", json!(true), "true"),
        ("to", json!(1_u64 << 54), "18014398509481984"),
        ("limit", json!(0), "0"),
        ("limit", json!(101), "101"),
        ("limit", json!(1.5), "1.5"),
        ("limit", json!("20"), "20"),
        ("limit", json!(-1), "-1"),
        ("offset", json!(1), "1"),
        ("offset", json!("20"), "20"),
        ("page", json!(2), "2"),
        ("cursor", json!(""), ""),
        ("cursor", json!("abc"), "abc"),
        ("cursor", json!(session), &session),
        ("cursor", json!(forged), &forged),
    ] {
        let refused = refuse(json!({ parameter: value })).await;
        let details = refused.invalid("InvalidPaginationError");
        assert_eq!(names(&details), ["parameter", "value", "reason"]);
        assert_eq!(
            (&details["parameter"], &details["value"]),
            (&json!(parameter), &json!(shown))
        );
    }
    let offset = refuse(json!({ "offset": 20 })).await;
    let details = offset.invalid("InvalidPaginationError");
    assert!(details["reason"].as_str().unwrap().contains("use cursor"));
    let other_search = refuse(json!({ "cursor": cursor, "query": "x" })).await;
    other_search.invalid("InvalidPaginationError");
    let body = server.request(Method::POST, SEARCH).body("[]");
    answer(body).await.invalid("InvalidBodyError");
    let unknown = refuse(json!({ "channelId": UNKNOWN_ID })).await;
    let details = unknown.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    assert_eq!(details, json!({ "sessionId": UNKNOWN_ID }));
    server.stop().await;
}

#[tokio::test]
async fn a_user_searches_its_own_sessions() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    let token = |user: &str| jwt::token(user, START.0 / 1000 + 24 * 3600);
    let call = async |path: &str, token: &str, body: Value| -> Answer {
        let request = server.request(Method::POST, path).bearer_auth(token);
        answer(request.json(&body)).await
    };
    let mut sessions = Vec::new();
    for user in [USER, OTHER] {
        let fields = json!({ "agentId": SCRIPTED, "userId": user });
        let session = call(SESSIONS, &token(user), fields).await.expect(201).body;
        let session = session["sessionId"].as_str().unwrap().to_owned();
        let sent = json!({ "content": format!("say of {user}"), "transport": "http" });
        call(&at(&session, "/messages"), &token(user), sent)
            .await
            .expect(201);
        sessions.push(session);
    }
    let of_user = format!("say of {USER}");
    for body in [
        json!({ "query": "say" }),
        json!({ "query": "say", "userId": USER }),
        json!({ "query": "say", "channelId": sessions[0] }),
    ] {
        let page = call(SEARCH, &token(USER), body).await.expect(200).body;
        assert_eq!(found(&page), [&of_user]);
    }
    // A cursor of the user's search holds with and without its userId, and only in it.
    let page = call(SEARCH, &token(USER), json!({ "limit": 1 }))
        .await
        .expect(200)
        .body;
    let cursor = &page["nextCursor"];
    for body in [
        json!({ "cursor": cursor }),
        json!({ "cursor": cursor, "userId": USER }),
    ] {
        let page = call(SEARCH, &token(USER), body).await.expect(200).body;
        assert_eq!(found(&page), [&of_user]);
    }
    let stolen = call(SEARCH, &token(OTHER), json!({ "cursor": cursor })).await;
    stolen.invalid("InvalidPaginationError");
    let other = call(SEARCH, &token(USER), json!({ "userId": OTHER })).await;
    other.error(403, "FORBIDDEN", "ForbiddenError");
    // Another's session is a missing one.
    let refused = call(SEARCH, &token(USER), json!({ "channelId": sessions[1] })).await;
    refused.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    // A malformed field comes before the rule about the user.
    let body = json!({ "userId": OTHER, "limit": 0 });
    let malformed = call(SEARCH, &token(USER), body).await;
    malformed.invalid("InvalidPaginationError");
    call(SEARCH, SERVER, json!({}))
        .await
        .error(403, "FORBIDDEN", "ForbiddenError");
    let all = call(SEARCH, ADMIN, json!({ "query": "say" }))
        .await
        .expect(200)
        .body;
    assert_eq!(found(&all).len(), 2);
    let one = call(SEARCH, ADMIN, json!({ "userId": OTHER, "query": "say" })).await;
    assert_eq!(found(&one.expect(200).body), [format!("say of {OTHER}")]);
    server.stop().await;
}

#[tokio::test]
async fn a_user_reads_the_transcript_of_its_expired_session() {
    let server = Server::builder()
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await;
    let call = async |method: Method, path: &str, user: &str, body: Value| -> Answer {
        let token = jwt::token(user, START.0 / 1000 + 24 * 3600);
        answer(server.request(method, path).bearer_auth(token).json(&body)).await
    };
    let fields = json!({ "agentId": SCRIPTED, "userId": USER });
    let session = call(Method::POST, SESSIONS, USER, fields)
        .await
        .expect(201)
        .body;
    let session = session["sessionId"].as_str().unwrap();
    let sent = json!({ "content": "say hello", "transport": "http" });
    call(Method::POST, &at(session, "/messages"), USER, sent)
        .await
        .expect(201);
    let transcript = format!("/api/messaging/channels/{session}/messages");
    for span in [Duration::ZERO, HOUR] {
        server.advance(span);
        let page = call(Method::GET, &transcript, USER, json!({}))
            .await
            .expect(200)
            .body;
        assert_eq!(found(&page), ["hello", "say hello"]);
        let foreign = call(Method::GET, &transcript, OTHER, json!({})).await;
        foreign.error(404, "SESSION_NOT_FOUND", "SessionNotFoundError");
    }
    server.stop().await;
}

#[tokio::test]
async fn searches_are_measured() {
    let server = Server::start().await;
    search(&server, json!({})).await;
    server.get(&format!("{SESSIONS}?q=x")).await.expect(200);
    let metrics = server.get_text("/metrics").await;
    let line = "sessiond_search_duration_seconds_count 2";
    assert!(metrics.lines().any(|it| it == line), "{metrics}");
    server.stop().await;
}

#[tokio::test]
async fn searches_beyond_those_that_wait_are_refused_as_overloaded() {
    let server = Server::builder().scans_at_once(0).start().await;
    let finding = format!("{SESSIONS}?q=x");
    let search = || server.request(Method::POST, SEARCH).json(&json!({}));
    // 16 wait; whichever arrives last is refused.
    let mut calls: FuturesUnordered<_> = (0..17).map(|_| answer(search())).collect();
    let refused = calls.next().await.unwrap();
    for refused in [refused, server.get(&finding).await] {
        let details = refused.error(503, "SERVICE_UNAVAILABLE", "ServiceUnavailableError");
        assert_eq!(details["reason"], "overloaded");
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!(seconds > 0);
    }
    // What does not search is not affected, and clients that leave make way for others.
    server.get(SESSIONS).await.expect(200);
    drop(calls);
    eventually("a free place", async || {
        let call = tokio::spawn(server.request(Method::GET, &finding).send());
        server.settle().await;
        let waits = !call.is_finished();
        call.abort();
        waits.then_some(())
    })
    .await;
    server.stop().await;
}
