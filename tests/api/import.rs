//! Importing sessions into a running server.

use std::fmt::Write as _;

use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{
    Answer, Events, HOUR, MINUTE, SECOND, SESSIONS, Server, USER, answer, at, contents, eventually,
    names,
};

const IMPORT: &str = "/api/admin/import";

/// The id of an agent that runs elsewhere.
const OUTSIDE: &str = "0e4c7ab2-0000-0000-0000-000000000007";

async fn import(server: &Server, lines: impl Into<reqwest::Body>) -> Answer {
    let request = server.request(Method::POST, IMPORT);
    let request = request.header(CONTENT_TYPE, "application/x-ndjson");
    answer(request.body(lines)).await
}

/// Imports lines, which must be refused, and asserts that nothing was stored.
async fn refused(server: &Server, lines: &str) -> Answer {
    let before = export(server).await;
    let answer = import(server, lines.to_owned()).await;
    assert!(answer.status >= 400, "{:#}", answer.body);
    assert_eq!(export(server).await, before);
    answer
}

async fn export(server: &Server) -> String {
    server.get_text("/api/admin/export").await
}

fn imported(sessions: u64, messages: u64) -> Value {
    let data = json!({ "success": true, "sessions": sessions, "messages": messages });
    json!({ "success": true, "sessions": sessions, "messages": messages, "data": data })
}

fn edited(line: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::from_str(line).unwrap();
    change(&mut value);
    value.to_string()
}

/// Sets a member by its path.
fn set(line: &mut Value, path: &str, value: Value) {
    let mut names = path.split('/');
    let last = names.next_back().unwrap();
    names.fold(line, |object, name| &mut object[name])[last] = value;
}

/// Returns the lines of an export with one of them edited.
fn with_edited(lines: &str, number: usize, change: impl FnOnce(&mut Value)) -> String {
    let mut lines: Vec<_> = lines.lines().map(str::to_owned).collect();
    lines[number - 1] = edited(&lines[number - 1], change);
    lines.join("\n")
}

/// Creates two sessions with a conversation each and returns the export.
async fn filled(server: &Server) -> (Vec<String>, String) {
    let fields = json!({ "metadata": { "topic": "one" } });
    let keyed = server.creating(&fields).header("Idempotency-Key", "k");
    let created = answer(keyed).await.expect(201).body;
    let first = created["sessionId"].as_str().unwrap().to_owned();
    server.ask(&first, "say one").await;
    server.advance(SECOND);
    let second = server.session().await;
    server.ask(&second, "think hm|act WAVE|say two").await;
    server.ask(&second, "say three").await;
    (vec![first, second], export(server).await)
}

#[tokio::test]
async fn an_erased_user_is_restored_byte_for_byte() {
    let mut server = Server::start().await;
    let (sessions, lines) = filled(&server).await;
    let erase = format!("{SESSIONS}?userId={USER}");
    server.delete(&erase).await.expect(200);
    assert_eq!(export(&server).await, "");

    let answer = import(&server, lines.clone()).await.expect(201);
    assert_eq!(answer.body, imported(2, 6));
    assert_eq!(export(&server).await, lines);
    let list = server.get(SESSIONS).await.expect(200).body;
    let stats = json!({ "totalSessions": 2, "activeSessions": 2, "expiredSessions": 0 });
    assert_eq!(list["stats"], stats);
    let history = server.history(&sessions[1]).await;
    assert_eq!(contents(&history)[1], "two");
    // The conversation goes on.
    assert_eq!(server.ask(&sessions[0], "say again").await, "again");
    let known = server.creating(&json!({ "metadata": { "topic": "one" } }));
    let again = crate::harness::answer(known.header("Idempotency-Key", "k")).await;
    assert_eq!(again.expect(201).body["sessionId"], sessions[0]);

    let before = export(&server).await;
    server.restart().await;
    assert_eq!(export(&server).await, before);
    assert_eq!(server.stop().await, 2);
}

#[tokio::test]
async fn an_empty_import_is_complete_at_once() {
    let server = Server::start().await;
    for lines in ["", "\n\r\n", "\u{feff}\n"] {
        let answer = import(&server, lines).await.expect(201);
        assert_eq!(answer.body, imported(0, 0));
    }
    server.stop().await;
}

/// Asserts that a line is refused for a reason, and that nothing is stored.
async fn assert_wrong(server: &Server, lines: &str, number: usize, said: &str) {
    let refused = refused(server, lines).await;
    let details = refused.invalid("InvalidBodyError");
    assert_eq!(names(&details), ["reason"], "{said}");
    let reason = details["reason"].as_str().unwrap();
    assert!(reason.starts_with(&format!("line {number}: ")), "{reason}");
    assert!(reason.contains(said), "{reason}");
}

#[tokio::test]
async fn the_first_wrong_line_is_named_and_nothing_is_stored() {
    let source = Server::start().await;
    let (_, lines) = filled(&source).await;
    source.stop().await;
    let server = Server::start().await;
    server.session().await;
    for (number, line, wrong, said) in [
        (1, "{", 1, "EOF"),
        (3, "5", 3, "invalid type"),
        (4, r#"{"type":"cat"}"#, 4, "known are"),
        (1, "", 2, "does not follow its session"),
        (3, "", 2, "its reply does not follow"),
    ] {
        let mut all: Vec<_> = lines.lines().collect();
        all[number - 1] = line;
        assert_wrong(&server, &all.join("\n"), wrong, said).await;
    }
    let twice = format!("{lines}{lines}");
    assert_wrong(&server, &twice, 9, "is there twice").await;
    let error = import(&server, vec![b'\n', 0xff]).await;
    let details = error.invalid("InvalidBodyError");
    assert_eq!(details["reason"], "line 2: it is not UTF-8");
    server.stop().await;
}

/// Lines with a value that the API would refuse, the values as JSON, and parts of the reasons. A
/// text such as `3 letters` is that long.
const OUT_OF_BOUNDS: &[(usize, &str, &str, &str)] = &[
    (
        1,
        "timeoutConfig/timeoutMinutes",
        "0",
        "between 1 and 10080, not 0",
    ),
    (
        4,
        "timeoutConfig/timeoutMinutes",
        "10081",
        "between 1 and 10080",
    ),
    (
        4,
        "timeoutConfig/maxDurationMinutes",
        "29",
        "between 30 and 20160",
    ),
    (
        4,
        "timeoutConfig/maxDurationMinutes",
        "20161",
        "between 30 and 20160",
    ),
    (
        4,
        "timeoutConfig/warningThresholdMinutes",
        "0",
        "between 1 and 10080",
    ),
    (
        1,
        "expiresAt",
        r#""2030-01-01T00:00:00.000Z""#,
        "later than windowStart",
    ),
    (
        1,
        "expiresAt",
        r#""2024-01-01T00:00:00.000Z""#,
        "not after createdAt",
    ),
    (
        1,
        "windowStart",
        r#""2023-01-01T00:00:00.000Z""#,
        "before createdAt",
    ),
    (
        1,
        "lastActivity",
        r#""2023-01-01T00:00:00.000Z""#,
        "before windowStart",
    ),
    (
        1,
        "warnAt",
        r#""2023-01-01T00:00:00.000Z""#,
        "warnAt is not within",
    ),
    (
        1,
        "scheduledAt",
        r#""2030-01-01T00:00:00.000Z""#,
        "after expiresAt",
    ),
    (
        1,
        "claim/createdAt",
        r#""2030-01-01T00:00:00.000Z""#,
        "after expiresAt",
    ),
    (
        1,
        "metadata",
        r#"{"text":"10240 letters"}"#,
        "at most 10240 bytes",
    ),
    (
        1,
        "createKey",
        r#""256 letters""#,
        "createKey is not an idempotency key",
    ),
    (1, "upstream", r#""../x""#, "upstream is not a session id"),
    (
        2,
        "content",
        r#""4001 letters""#,
        "at most 4000 characters, not 4001",
    ),
    (2, "content", r#""""#, "content must not be empty"),
    (
        2,
        "metadata",
        r#"{"text":"10240 letters"}"#,
        "at most 10240 bytes",
    ),
    (2, "attachments", r#"[{"type":"x"}]"#, "attachments[0].url"),
    (
        2,
        "user/senderName",
        r#""201 letters""#,
        "at most 200 characters",
    ),
    (2, "keys", r#"["a b"]"#, "not an idempotency key"),
    (3, "content", r#""65537 letters""#, "at most 65536 bytes"),
    (
        3,
        "metadata",
        r#"{"text":"14337 letters"}"#,
        "at most 14336 bytes",
    ),
    (
        3,
        "attachments",
        "[{},{},{},{},{},{},{},{},{},{},{}]",
        "at most 10, not 11",
    ),
    (
        3,
        "agent/thought",
        r#""16385 letters""#,
        "at most 16384 bytes",
    ),
    (
        3,
        "agent/actions",
        r#"["16384 letters"]"#,
        "at most 16384 bytes",
    ),
];

/// Returns a value of the table.
fn value_of(text: &str) -> Value {
    let Some((before, after)) = text.split_once(" letters") else {
        return serde_json::from_str(text).unwrap();
    };
    let (before, count) = before.rsplit_once('"').unwrap();
    let letters = "x".repeat(count.parse().unwrap());
    serde_json::from_str(&format!("{before}\"{letters}{after}")).unwrap()
}

#[tokio::test]
async fn a_value_that_the_api_would_refuse_is_not_imported() {
    let source = Server::start().await;
    let (_, lines) = filled(&source).await;
    source.stop().await;
    let server = Server::start().await;
    for (number, path, value, said) in OUT_OF_BOUNDS {
        let lines = with_edited(&lines, *number, |line| set(line, path, value_of(value)));
        assert_wrong(&server, &lines, *number, said).await;
    }
    // Unchanged, the lines are imported.
    import(&server, lines).await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn what_could_not_be_read_again_is_refused() {
    let source = Server::start().await;
    let (_, lines) = filled(&source).await;
    source.stop().await;
    let server = Server::start().await;
    server.session().await;
    let all: Vec<Value> = lines.lines().map(value_of).collect();
    for (path, earlier, said) in [
        ("id", &all[4]["id"], "has its id"),
        ("user/turnId", &all[4]["user"]["turnId"], "has its turnId"),
        (
            "user/replyId",
            &all[4]["user"]["replyId"],
            "has its replyId",
        ),
        ("user/replyId", &all[4]["id"], "has its replyId"),
    ] {
        let edited = with_edited(&lines, 7, |line| set(line, path, earlier.clone()));
        assert_wrong(&server, &edited, 7, said).await;
    }
    for (number, path, time, said) in [
        (
            2,
            "createdAt",
            "0000-12-31T23:59:59.999Z",
            "is not a time like",
        ),
        (
            8,
            "createdAt",
            "9999-12-31T23:59:59.998Z",
            "is in the future",
        ),
        (
            4,
            "lastActivity",
            "2027-01-01T00:00:00.000Z",
            "is in the future",
        ),
    ] {
        let edited = with_edited(&lines, number, |line| set(line, path, time.into()));
        assert_wrong(&server, &edited, number, said).await;
    }
    let long = format!("{{\"type\":\"session\",\"{}\":1}}", "x".repeat(1_000_000));
    let error = import(&server, long).await;
    let reason = error.invalid("InvalidBodyError")["reason"].to_string();
    assert!(reason.len() < 500, "{reason}");
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_has_expired_may_have_lived_longer() {
    let source = Server::start().await;
    let session = source.session().await;
    let line = export(&source).await;
    source.stop().await;
    let line = edited(line.trim_end(), |line| {
        for name in ["createdAt", "windowStart"] {
            line[name] = "2020-01-01T00:00:00.000Z".into();
        }
        for name in ["expiresAt", "warnAt"] {
            line[name] = "2024-01-01T00:00:00.000Z".into();
        }
    });
    let server = Server::start().await;
    import(&server, line.clone()).await.expect(201);
    server.get(&at(&session, "")).await.expect(410);
    server.delete(&at(&session, "")).await.expect(200);
    let later = line.replace(
        "\"expiresAt\":\"2024-01-01T00",
        "\"expiresAt\":\"2024-01-01T01",
    );
    assert_wrong(&server, &later, 1, "later than windowStart").await;
    server.stop().await;
}

#[tokio::test]
async fn the_server_can_import_all_values_that_it_stores() {
    let source = Server::start().await;
    let fields = json!({
        "metadata": { "text": "x".repeat(10_229) },
        "timeoutConfig": { "timeoutMinutes": 1440, "maxDurationMinutes": 2880 },
    });
    let session = source.session_with(fields).await;
    source.ask(&session, "long 70000").await;
    let content = json!({
        "content": "\u{1f389}".repeat(4000), "transport": "http",
        "attachments": vec![json!({ "type": "x", "url": "y" }); 10],
    });
    source.send(&session, content).await.expect(201);
    let failed = json!({ "content": "fail", "transport": "http" });
    source.send(&session, failed).await.expect(502);
    for number in 0..16 {
        source.tell(&session, &format!("hold|{number}")).await;
    }
    let lines = export(&source).await;
    source.stop().await;
    let server = Server::start().await;
    import(&server, lines.clone()).await.expect(201);
    assert_eq!(lines.lines().count(), 1 + 5 + 16);

    // More turns than a session may have open are not.
    let mut more = lines.trim_end().to_owned();
    let last = edited(more.lines().last().unwrap(), |line| {
        for (path, value) in [
            ("createdAt", json!("2024-01-01T01:00:00.000Z")),
            ("keys", json!([])),
            ("user/turn/open/position", json!(99)),
        ] {
            set(line, path, value);
        }
    });
    more.push('\n');
    more.push_str(&last);
    let number = more.lines().count();
    let server_of_none = Server::start().await;
    assert_wrong(&server_of_none, &more, number, "at most 16 open turns").await;
    server_of_none.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_exists_is_a_conflict() {
    let server = Server::start().await;
    let (sessions, lines) = filled(&server).await;
    let assert_exists = async |session: &str| {
        let refused = refused(&server, &lines).await;
        let details = refused.error(409, "SESSION_EXISTS", "SessionExistsError");
        assert_eq!(details, json!({ "sessionId": session }));
    };
    assert_exists(&sessions[0]).await;
    server.delete(&at(&sessions[0], "")).await.expect(200);
    assert_exists(&sessions[1]).await;
    // Also once it has expired.
    server.advance(HOUR);
    server.get(&at(&sessions[1], "")).await.expect(410);
    assert_exists(&sessions[1]).await;
    let erase = format!("{SESSIONS}?userId={USER}");
    server.delete(&erase).await.expect(200);
    import(&server, lines.clone()).await.expect(201);
    assert_eq!(export(&server).await, lines);
    server.stop().await;
}

#[tokio::test]
async fn a_create_key_of_another_session_is_a_conflict() {
    let server = Server::start().await;
    let (sessions, lines) = filled(&server).await;
    for session in &sessions {
        server.delete(&at(session, "")).await.expect(200);
    }
    let other = server.creating(&json!({})).header("Idempotency-Key", "k");
    answer(other).await.expect(201);
    let refused = refused(&server, &lines).await;
    let details = refused.error(409, "IDEMPOTENCY_CONFLICT", "IdempotencyConflictError");
    assert_eq!(details, json!({ "key": "k" }));
    server.stop().await;
}

/// Returns the lines of this many sessions.
fn copies(line: &str, count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        let line = edited(line, |it| {
            it["sessionId"] = uuid::Uuid::from_u128(number as u128 + 1).to_string().into();
            it.as_object_mut().unwrap().remove("createKey");
            it.as_object_mut().unwrap().remove("claim");
        });
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

#[tokio::test]
async fn ten_thousand_lines_are_imported_and_more_are_refused() {
    let server = Server::builder()
        .set("MAX_SESSIONS_PER_USER", "1")
        .start()
        .await;
    let session = server.session().await;
    let line = export(&server).await;
    server.delete(&at(&session, "")).await.expect(200);
    let lines = copies(line.trim_end(), 10_001);
    assert_too_large(&refused(&server, &lines).await);
    let (last, _) = lines.trim_end().rsplit_once('\n').unwrap();
    // Empty lines do not count.
    let answer = import(&server, format!("\n{last}\n\n")).await;
    assert_eq!(answer.expect(201).body, imported(10_000, 0));
    let health = server.get(&format!("{SESSIONS}/health")).await.expect(200);
    assert_eq!(health.body["activeSessions"], 10_000);
    assert_eq!(server.stop().await, 10_000);
}

#[track_caller]
fn assert_too_large(answer: &Answer) {
    let details = answer.error(413, "PAYLOAD_TOO_LARGE", "PayloadTooLargeError");
    assert_eq!(details, json!({}));
    let message = answer.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("`sessiond import --merge`"), "{message}");
}

#[tokio::test]
async fn thirty_two_mebibytes_are_read_and_more_are_refused() {
    const MAX: usize = 32 << 20;

    let server = Server::start().await;
    let blank = |length: usize| " ".repeat(length);
    // No line may be that long, but it is read.
    let read = import(&server, blank(MAX)).await;
    let details = read.invalid("InvalidBodyError");
    let reason = details["reason"].as_str().unwrap();
    assert!(reason.starts_with("line 1: it is longer than"), "{reason}");
    let chunks = [blank(MAX), blank(1)].map(Ok::<_, std::io::Error>);
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    for body in [blank(MAX + 1).into(), chunked] {
        assert_too_large(&import(&server, body).await);
    }
    server.stop().await;
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let server = Server::start().await;
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (CONTENT_TYPE, "application/x-www-form-urlencoded"),
        (CONTENT_ENCODING, "gzip"),
    ] {
        let request = server.request(Method::POST, IMPORT).header(name, value);
        let refused = answer(request.body("{")).await;
        refused.error(415, "UNSUPPORTED_MEDIA_TYPE", "UnsupportedMediaTypeError");
    }
    for content_type in [
        "application/x-ndjson; charset=utf-8",
        "Application/X-NDJSON",
    ] {
        let request = server.request(Method::POST, IMPORT);
        answer(request.header(CONTENT_TYPE, content_type).body(""))
            .await
            .expect(201);
    }
    answer(server.request(Method::POST, IMPORT).body(""))
        .await
        .expect(201);
    server.stop().await;
}

#[tokio::test]
async fn imports_run_one_at_a_time() {
    let server = Server::start().await;
    let address = server.url().strip_prefix("http://").unwrap();
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {IMPORT} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 1\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let busy = eventually("an import that waits for its body", async || {
        let answer = import(&server, "").await;
        (answer.status != 201).then_some(answer)
    })
    .await;
    let details = busy.error(503, "SERVICE_UNAVAILABLE", "ServiceUnavailableError");
    assert_eq!(details, json!({ "reason": "overloaded" }));
    assert!(busy.has_header("retry-after"));
    slow.write_all(b"\n").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    import(&server, "").await.expect(201);
    server.stop().await;
}

#[tokio::test]
async fn an_open_turn_is_answered_after_the_import() {
    let source = Server::start().await;
    let session = source.session().await;
    source.tell(&session, "hold").await;
    source.history_of(&session, 1).await;
    source.tell(&session, "say second").await;
    let lines = export(&source).await;
    let lines = lines.replace("\"hold\"", "\"say first\"");
    source.stop().await;

    let server = Server::start().await;
    let answer = import(&server, lines).await.expect(201);
    assert_eq!(answer.body, imported(1, 2));
    let history = server.history_of(&session, 4).await;
    assert_eq!(
        contents(&history),
        ["say first", "say second", "first", "second"]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_turn_of_an_agent_that_runs_elsewhere_reaches_its_inbox() {
    let outside = json!({
        "id": OUTSIDE, "name": "Outside", "settings": { "backend": { "type": "external" } },
    });
    let start = async || {
        let builder = Server::builder().character("outside.json", &outside);
        builder.start().await
    };
    let source = start().await;
    let session = source.session_with(json!({ "agentId": OUTSIDE })).await;
    source.tell(&session, "hello").await;
    let path = format!("/api/agents/{OUTSIDE}/events");
    let open = async |server: &Server| Events::open(server.request(Method::GET, &path)).await;
    open(&source).await.expect("turn").await;
    let lines = export(&source).await;
    source.stop().await;

    let server = start().await;
    let mut inbox = open(&server).await;
    import(&server, lines).await.expect(201);
    let turn = inbox.expect("turn").await;
    assert_eq!(turn["sessionId"], session.as_str());
    assert_eq!(turn["message"]["content"], "hello");
    let reply = json!({
        "channel_id": session, "author_id": OUTSIDE, "turnId": turn["turnId"], "content": "hi",
    });
    server
        .post("/api/messaging/submit", reply)
        .await
        .expect(201);
    let history = server.history_of(&session, 2).await;
    assert_eq!(contents(&history), ["hello", "hi"]);
    server.stop().await;
}

#[tokio::test]
async fn an_imported_session_expires_on_time() {
    let source = Server::start().await;
    let fields = json!({ "timeoutConfig": { "timeoutMinutes": 20, "warningThresholdMinutes": 5 } });
    let session = source.session_with(fields).await;
    let lines = export(&source).await;
    source.stop().await;

    let server = Server::start().await;
    // The janitor sleeps until a later deadline.
    server
        .session_with(json!({ "timeoutConfig": { "timeoutMinutes": 60 } }))
        .await;
    server.settle().await;
    import(&server, lines).await.expect(201);
    let events = server.request(Method::GET, &at(&session, "/events"));
    let mut events = Events::open(events).await;
    server.advance(16 * MINUTE);
    loop {
        let (name, _) = events.next().await.expect("the stream is open");
        if name == "sessionExpirationWarning" {
            break;
        }
    }
    server.advance(4 * MINUTE);
    server.get(&at(&session, "")).await.expect(410);
    server.stop().await;
}

#[tokio::test]
async fn an_import_is_counted_neither_as_creations_nor_as_messages() {
    let server = Server::start().await;
    let (sessions, lines) = filled(&server).await;
    let metric = async |name: &str| {
        let text = server.get_text("/metrics").await;
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let counted = ["sessiond_sessions_created", "sessiond_messages_total"];
    server.delete(&at(&sessions[1], "")).await.expect(200);
    server.delete(&at(&sessions[0], "")).await.expect(200);
    let before = (metric(counted[0]).await, metric(counted[1]).await);
    assert!(!before.0.is_empty() && !before.1.is_empty(), "{before:?}");
    import(&server, lines).await.expect(201);
    let after = (metric(counted[0]).await, metric(counted[1]).await);
    assert_eq!(after, before);
    server.stop().await;
}

#[tokio::test]
async fn quarantined_records_are_imported_and_degrade_health() {
    let server = Server::start().await;
    let session = server.session().await;
    let mut lines = export(&server).await;
    server.delete(&at(&session, "")).await.expect(200);
    let damaged = json!({
        "type": "damaged", "sessionId": session, "record": "message 1704067200000",
        "reason": "its checksum is wrong", "foundAt": "2024-01-01T00:00:00.000Z", "bytes": "00",
    });
    writeln!(lines, "{damaged}").unwrap();
    let answer = import(&server, lines.clone()).await.expect(201);
    assert_eq!(answer.body, imported(1, 0));
    let health = server.get(&format!("{SESSIONS}/health")).await.expect(200);
    assert_eq!(health.body["invalidSessions"], 1);
    // A session of which nothing else is left exists, too.
    server.delete(&at(&session, "")).await.expect(200);
    let only = format!("{damaged}\n");
    import(&server, only.clone()).await.expect(201);
    let refused = refused(&server, &only).await;
    let details = refused.error(409, "SESSION_EXISTS", "SessionExistsError");
    assert_eq!(details["sessionId"], session.as_str());
    server.stop().await;
}
