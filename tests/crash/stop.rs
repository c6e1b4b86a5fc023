//! A stop completes all work and leaves no client waiting.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::api::{Api, answer, text};
use super::scripted::ScriptedServer;
use super::sse::Events;
use super::support::server::Server;
use super::turns::{message, session, until_chunk};

/// The longest time for a stop.
const LIMIT: Duration = Duration::from_secs(10);

/// Opens a connection and sends these bytes.
fn connection(server: &str, bytes: &[u8]) -> TcpStream {
    let address = server.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(bytes).expect("bytes can be sent");
    let patience = stream.set_read_timeout(Some(LIMIT));
    patience.expect("a limit can be set");
    stream
}

/// Opens a connection that is idle after a request.
fn idle_connection(server: &str) -> TcpStream {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = connection(server, request);
    let mut answer = [0; 1024];
    let length = stream.read(&mut answer).expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    stream
}

/// Whether the server closes a connection without sending anything else.
fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok() && rest.is_empty()
}

fn stops_in_time(stop: impl FnOnce() -> ExitStatus) {
    let since = Instant::now();
    let status = stop();
    let took = since.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < LIMIT, "the stop took {took:?}");
}

#[tokio::test]
async fn a_stop_is_clean() {
    const STREAMED: &str = "say on|hold";
    let mut server = ScriptedServer::start();
    assert!(server.log().contains("the database is new"));
    let api = Api::new(server.url());
    let idle = idle_connection(server.url());
    let silent = connection(server.url(), b"");
    let streamed_in = session(&api).await;
    let (mut stream, ..) = until_chunk(&api, &streamed_in, STREAMED).await;
    let watched = api.request(Method::GET, &format!("/{streamed_in}/events"));
    let mut watching = Events::open(watched).await;
    watching.expect("state").await;
    let waited_in = session(&api).await;
    let waiting = tokio::spawn(answer(message(&api, &waited_in, "hold", "http")));
    while api.history(&waited_in).await.expect("an answer").is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    stops_in_time(|| server.terminate());
    let error = stream.expect("error").await;
    assert_eq!(error["code"], "SERVICE_UNAVAILABLE");
    stream.expect_end().await;
    watching.expect_end().await;
    assert!(is_closed(idle) && is_closed(silent));
    let refused = waiting.await.expect("the wait ends").expect("an answer");
    let refused = refused.expect(503);
    assert_eq!(refused["code"], "SERVICE_UNAVAILABLE", "{refused}");
    assert_eq!(refused["details"]["reason"], "shutting down", "{refused}");
    let kept = text(&refused["details"]["userMessage"], "id");
    let log = server.log();
    assert!(log.contains("stopped"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    assert!(!log.contains("connections are cut"), "{log}");

    server.restart();
    let log = server.log();
    assert!(log.contains(r#"last_stop="clean""#), "{log}");
    let api = Api::new(server.url());
    let messages = api.history(&waited_in).await.expect("an answer");
    assert_eq!(messages[0]["id"], *kept);
    let (_stream, ..) = until_chunk(&api, &streamed_in, STREAMED).await;

    server.kill9();
    server.restart();
    let log = server.log();
    assert!(log.contains(r#"last_stop="unclean"#), "{log}");
}

#[test]
fn a_stop_right_after_the_start_is_clean() {
    let mut server = Server::start();
    for start in 1..=20 {
        stops_in_time(|| server.terminate());
        let log = server.log();
        assert!(log.contains("stopped"), "start {start}: {log}");
        server.restart();
        let log = server.log();
        assert!(log.contains(r#"last_stop="clean""#), "{log}");
    }
}

#[test]
fn slow_clients_and_further_signals_do_not_delay_a_stop() {
    let mut server = Server::start();
    let head = b"GET /healthz HTTP/1.1\r\nHost: loc";
    let half_a_head = connection(server.url(), head);
    let body = b"POST /api/messaging/sessions HTTP/1.1\r\nHost: localhost\r\n\
                 Content-Length: 100\r\n\r\n{\"agentId\":";
    let half_a_body = connection(server.url(), body);
    thread::sleep(Duration::from_millis(50));
    stops_in_time(|| {
        server.signal("TERM");
        thread::sleep(Duration::from_millis(50));
        server.signal("INT");
        server.terminate()
    });
    drop((half_a_head, half_a_body));
    assert!(server.log().contains("stopped"), "{}", server.log());
    server.restart();
    let log = server.log();
    assert!(log.contains(r#"last_stop="clean""#), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_progress_at_a_stop_are_answered_or_refused_but_never_lost() {
    const CALLS: usize = 200;
    let mut server = Server::start();
    let api = Api::new(server.url());
    let user = "7f0f4f0e-51a7-4c36-9b3c-0c7a3ce3f2a1";
    let calls: Vec<_> = (0..CALLS)
        .map(|_| tokio::spawn(answer(api.create(user))))
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    stops_in_time(|| server.terminate());
    let mut made = Vec::new();
    for call in calls {
        match call.await.expect("a call ends") {
            Ok(answer) if answer.status == 201 => made.push(text(&answer.body, "sessionId")),
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
            // The connection came too late to be accepted.
            Err(_) => {}
        }
    }
    server.restart();
    let list = Api::new(server.url()).get(&format!("?userId={user}")).await;
    let list = list.expect("an answer").expect(200);
    let found = list["sessions"].as_array().expect("a list").iter();
    let mut found: Vec<String> = found.map(|session| text(session, "sessionId")).collect();
    found.sort();
    made.sort();
    assert_eq!(found, made, "exactly what was acknowledged");
}

#[test]
fn sigint_works_as_sigterm() {
    let mut server = Server::start();
    let idle = idle_connection(server.url());
    let since = Instant::now();
    server.signal("INT");
    assert!(is_closed(idle));
    while !server.log().contains("stopped") {
        assert!(since.elapsed() < LIMIT, "{}", server.log());
        thread::sleep(Duration::from_millis(10));
    }
    server.restart();
    let log = server.log();
    assert!(log.contains(r#"last_stop="clean""#), "{log}");
}

#[tokio::test]
async fn sessions_are_cleared_on_a_stop_if_configured() {
    const MARK: &str = "marzipan-4711";
    let mut server = ScriptedServer::with(&[("CLEAR_SESSIONS_ON_SHUTDOWN", "true")]);
    let mut api = Api::new(server.url());
    let answered = session(&api).await;
    let script = format!("say {MARK}");
    let sent = answer(message(&api, &answered, &script, "http")).await;
    sent.expect("an answer").expect(201);
    let open = session(&api).await;
    let (stream, ..) = until_chunk(&api, &open, "say on|hold").await;

    // A crash is not a clean stop.
    server.kill9();
    drop(stream);
    server.restart();
    api = Api::new(server.url());
    let messages = api.history(&answered).await.expect("an answer");
    assert_eq!(messages[1]["content"], MARK);
    let database = server.data_dir().join("sessiond.redb");
    assert!(has(&database, MARK));
    let stream = until_chunk(&api, &open, "say on|hold").await;

    stops_in_time(|| server.terminate());
    drop(stream);
    assert!(server.log().contains("stopped cleared=true"));
    assert!(!has(&database, MARK), "a message is left in the file");
    server.restart();
    api = Api::new(server.url());
    let list = api.get("").await.expect("an answer").expect(200);
    assert_eq!(list["total"], 0, "{list}");
    assert_eq!(list["stats"]["totalSessions"], 0, "{list}");
    for id in [&answered, &open] {
        for path in ["", "/messages"] {
            let found = api.get(&format!("/{id}{path}")).await.expect("an answer");
            assert_eq!(found.status, 404);
        }
        let request = api.request(Method::POST, &format!("/{id}/renew"));
        assert_eq!(answer(request).await.expect("an answer").status, 404);
    }
    let _: Value = api.get("/health").await.expect("an answer").expect(200);
    let fresh = session(&api).await;
    let mut events = Events::open(message(&api, &fresh, "history", "sse")).await;
    events.expect("user_message").await;
    assert_eq!(events.reply().await.done["text"], "history");
}

fn has(file: &Path, text: &str) -> bool {
    let bytes = fs::read(file).expect("the database file can be read");
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
