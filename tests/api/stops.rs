//! Stopping and restarting the server.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Builder, Events, MINUTE, SECOND, SESSIONS, Server, answer, at, contents, eventually,
    names,
};

/// Returns the stored user message in the answer to a wait that a stop interrupted.
#[track_caller]
fn stored_message(answer: &Answer) -> Value {
    let details = answer.error(503, "SERVICE_UNAVAILABLE", "ServiceUnavailableError");
    assert_eq!(names(&details), ["reason", "userMessage"]);
    assert_eq!(details["reason"], "shutting down");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    details["userMessage"].clone()
}

#[tokio::test]
async fn waiters_get_a_503_and_the_turn_continues_after_the_restart() {
    let mut server = Server::start().await;
    let session = server.session().await;
    let content = "say one|wait 1000|say two";
    let keyed = |transport: &str| {
        json!({
            "content": content, "transport": transport, "clientMessageId": "k",
        })
    };
    let mut over_sse = Events::open(server.sending(&session, &keyed("sse"))).await;
    let id = over_sse.expect("user_message").await["id"].clone();
    let reply_id = over_sse.expect("chunk").await["messageId"].clone();
    let request = server.sending(&session, &keyed("http"));
    let over_http = tokio::spawn(answer(request));
    let queued = server.wait_for(&session, "history");
    server.history_of(&session, 2).await;
    server.settle().await;

    let ended = server.begin_stop();
    assert_eq!(over_sse.end("error").await["code"], "SERVICE_UNAVAILABLE");
    assert_eq!(stored_message(&over_http.await.unwrap())["id"], id);
    assert_eq!(stored_message(&queued.await.unwrap())["content"], "history");
    server.finish_stop(ended).await;

    server.launch_with(|setup| setup).await;
    let mut again = Events::open(server.sending(&session, &keyed("sse"))).await;
    assert_eq!(again.expect("user_message").await["id"], id);
    assert_eq!(again.expect("chunk").await["messageId"], reply_id);
    server.settle().await;
    server.advance(SECOND);
    assert_eq!(again.end("done").await["id"], reply_id);
    let history = server.history_of(&session, 4).await;
    assert_eq!(history[2]["id"], reply_id);
    assert_eq!(
        contents(&history)[2..],
        ["onetwo", &format!("{content} > onetwo")]
    );
    server.restart().await;
    server.settle().await;
    assert_eq!(
        server.history(&session).await,
        history,
        "each message is answered once"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_message_without_a_waiter_is_answered_after_the_restart() {
    let mut server = Server::start().await;
    let session = server.session().await;
    server.tell(&session, "say one|wait 1000").await;
    server.restart().await;
    server.restart().await;
    server.settle().await;
    server.advance(SECOND);
    let history = server.history_of(&session, 2).await;
    assert_eq!(contents(&history), ["say one|wait 1000", "one"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_waiters_get_the_same_answer() {
    for _ in 0..5 {
        let mut server = Server::builder().agent_concurrency(100).start().await;
        let sessions = join_all((0..40).map(|_| server.session())).await;
        let waiting: Vec<_> = sessions
            .iter()
            .map(|session| server.wait_for(session, "hold"))
            .collect();
        for session in &sessions {
            server.history_of(session, 1).await;
        }
        server.settle().await;
        let ended = server.begin_stop();
        for (waiting, session) in waiting.into_iter().zip(&sessions) {
            assert_eq!(
                stored_message(&waiting.await.unwrap())["channelId"],
                *session
            );
        }
        server.finish_stop(ended).await;
    }
}

#[tokio::test]
async fn a_restart_restarts_the_timeout_of_a_turn() {
    let mut server = Server::builder().agent_timeout(10 * SECOND).start().await;
    let session = server.session().await;
    let running = server.begin(&session, "say one|wait 9000").await;
    server.advance(8 * SECOND);
    drop(running);
    server.restart().await;
    server.settle().await;
    server.advance(9 * SECOND);
    let history = server.history_of(&session, 2).await;
    assert_eq!(history[1]["content"], "one");
    server.stop().await;
}

#[tokio::test]
async fn turns_interrupted_by_a_stop_in_a_session_that_expires_meanwhile() {
    let mut server = Server::start().await;
    let session = server
        .session_with(json!({ "timeoutConfig": { "autoRenew": false } }))
        .await;
    let running = server.begin(&session, "say one|wait 1000").await;
    server.tell(&session, "say two").await;
    drop(running);
    let ended = server.begin_stop();
    server.finish_stop(ended).await;
    server.advance(31 * MINUTE);
    server.launch_with(|setup| setup).await;
    server.settle().await;
    server.advance(SECOND);
    let history = server.history_of(&session, 3).await;
    assert_eq!(
        contents(&history),
        ["say one|wait 1000", "say two", "one"],
        "this turn had begun"
    );
    server.settle().await;
    let history = server.history(&session).await;
    assert_eq!(history[0]["metadata"].get("agentError"), None);
    assert_eq!(
        history[1]["metadata"]["agentError"]["code"],
        "SESSION_EXPIRED"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_interrupted_turn_of_a_removed_agent_is_closed() {
    let mut server = Server::start().await;
    let session = server.session().await;
    server.tell(&session, "say one|wait 1000").await;
    server.restart_with(Builder::without_scripted).await;
    let failed = eventually("the turn is closed", async || {
        let history = server.history(&session).await;
        history[0]["metadata"].get("agentError").cloned()
    })
    .await;
    assert_eq!(failed["code"], "AGENT_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn calls_in_progress_are_answered_before_the_stop_ends() {
    let mut server = Server::start().await;
    let calls: Vec<_> = (0..20)
        .map(|_| tokio::spawn(server.creating(&json!({})).send()))
        .collect();
    server.settle().await;
    let ended = server.begin_stop();
    let stored = server.finish_stop(ended).await;
    let answers = join_all(calls).await;
    let created = answers.into_iter().filter_map(|it| it.unwrap().ok());
    let created = created.filter(|response| response.status() == 201);
    assert_eq!(
        created.count() as u64,
        stored,
        "acknowledged data is stored"
    );
}

#[tokio::test]
async fn sessions_can_be_cleared_at_a_stop() {
    let clear = |setup: Builder| setup.set("CLEAR_SESSIONS_ON_SHUTDOWN", "true");
    let mut server = clear(Server::builder()).start().await;
    let session = server.session().await;
    let secret = "a most uncommon secret";
    server.ask(&session, secret).await;
    server.tell(&session, "hold").await;
    let ended = server.begin_stop();
    assert_eq!(server.finish_stop(ended).await, 0);
    let file = std::fs::read(server.database()).unwrap();
    let remains = file
        .windows(secret.len())
        .any(|bytes| bytes == secret.as_bytes());
    assert!(!remains, "the file does not contain removed data");

    server
        .launch_with(|setup| setup.set("CLEAR_SESSIONS_ON_SHUTDOWN", "0"))
        .await;
    server.get(&at(&session, "")).await.expect(404);
    let none = json!({ "totalSessions": 0, "activeSessions": 0, "expiredSessions": 0 });
    assert_eq!(server.get(SESSIONS).await.body["stats"], none);
    let session = server.session().await;
    server.ask(&session, "x").await;
    server.restart().await;
    assert_eq!(
        server.history(&session).await.len(),
        2,
        "without the setting, sessions stay"
    );
    assert_eq!(server.stop().await, 1);
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_does_not_start() {
    let server = Server::start().await;
    let session = server.session().await;
    let error = server.second_start_error().await;
    assert!(error.contains("sessiond.redb"), "{error}");
    server.ask(&session, "x").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_during_many_sends_loses_no_acknowledged_message() {
    for _ in 0..4 {
        let mut server = Server::start().await;
        let sessions = join_all((0..12).map(|_| server.session())).await;
        let sends: Vec<_> = (0..72)
            .map(|index| {
                let session = sessions[index % sessions.len()].clone();
                let content = format!("say number {index}");
                let fields = json!({ "content": content, "transport": "http" });
                let request = server.sending(&session, &fields);
                tokio::spawn(async move { (session, content, request.send().await) })
            })
            .collect();
        server.history_of(&sessions[0], 1).await;
        let ended = server.begin_stop();
        let mut outcomes = Vec::new();
        for send in sends {
            let (session, content, response) = send.await.unwrap();
            // A connection that was not accepted yet is refused; nothing was promised.
            if let Ok(response) = response {
                let status = response.status().as_u16();
                let body: Value = response.json().await.unwrap();
                outcomes.push((session, content, status, body));
            }
        }
        server.finish_stop(ended).await;

        server.launch_with(|setup| setup).await;
        for (session, content, status, body) in outcomes {
            let is_stored = match status {
                201 => true,
                503 => body["details"].get("userMessage").is_some(),
                _ => panic!("{status}: {body:#}"),
            };
            let history = eventually("every message has its reply", async || {
                let history = server.history(&session).await;
                let replies = history.iter().filter(|message| message["isAgent"] == true);
                (2 * replies.count() == history.len()).then_some(history)
            })
            .await;
            let said = content.trim_start_matches("say ");
            let count = |text: &str| contents(&history).iter().filter(|it| **it == text).count();
            let expected = usize::from(is_stored);
            assert_eq!(
                (count(&content), count(said)),
                (expected, expected),
                "{status}"
            );
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn data_files_are_readable_only_by_the_servers_user() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = Server::start().await;
    let database = server.database();
    for (path, mode) in [(database.parent().unwrap(), 0o700), (&database, 0o600)] {
        let permissions = std::fs::metadata(path).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{}", path.display());
    }
    server.stop().await;
}
