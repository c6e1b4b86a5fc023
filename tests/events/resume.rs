//! Where a stream starts: the state, and resuming after an event.

use serde_json::{Value, json};

use crate::reader::{Event, messages_of, summaries};
use crate::server::{START, Server, epoch, good, open, refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_starts_with_the_state_and_continues_with_events() {
    let server = Server::start().await;
    let session = server
        .create(json!({ "timeoutMinutes": 30, "warningThresholdMinutes": 5 }))
        .await;
    let info = good(server.http.get(server.at(&session, ""))).await;
    let mut reader = server.follow(&session).await;
    let state = reader.expect("state").await;
    assert_eq!(state.id.as_deref(), Some("0"), "there is no message yet");
    assert_eq!(
        state.data,
        json!({
            "expiresAt": info["expiresAt"], "renewalCount": 0, "isNearExpiration": false,
            "inputEnabled": true,
        })
    );
    reader.stays_silent().await;

    let reply = server.ask(&session, "say hi").await["agentResponse"].clone();
    server.minutes_pass(26).await;
    let state = server.follow(&session).await.expect("state").await;
    assert_eq!(state.id, Some(epoch(&reply["createdAt"]).to_string()));
    assert_eq!(state.data["isNearExpiration"], true);
    assert_eq!(state.data["renewalCount"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_the_headers_of_an_event_stream() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    for path in ["", "/", "?after=0"] {
        let reader = open(server.following(&session, path)).await;
        assert_eq!(reader.header("content-type"), "text/event-stream");
        assert_eq!(reader.header("cache-control"), "no-cache");
        assert_eq!(reader.header("x-accel-buffering"), "no");
        assert_eq!(reader.header("x-content-type-options"), "nosniff");
        assert!(!reader.header("x-request-id").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_messages_can_be_resumed_after_a_negative_time() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = open(server.following(&session, "?after=-5")).await;
    assert_eq!(reader.expect("state").await.id.as_deref(), Some("0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_turn_the_state_has_the_input_disabled() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let sent = server.send(&session, "say wait | wait 60000").await;
    let state = server.follow(&session).await.expect("state").await;
    assert_eq!(state.data["inputEnabled"], false);
    assert_eq!(state.id, Some(epoch(&sent["createdAt"]).to_string()));
    let mut reader = server.follow_live(&session).await;
    server.minutes_pass(1).await;
    let shown = summaries(&reader.until_idle().await);
    assert_eq!(
        shown,
        ["messageBroadcast: wait", "messageComplete", "enable_input"]
    );
    let state = server.follow(&session).await.expect("state").await;
    assert_eq!(state.data["inputEnabled"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resumes_gets_the_missed_messages_one_state_and_new_events() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut live = server.follow_live(&session).await;
    let mut received = Vec::new();
    // More than one slice of the replay, including a failed turn.
    for number in 0..60 {
        let script = match number {
            7 => "fail".to_owned(),
            _ => format!("think {number} | act COUNT | say reply {number}"),
        };
        server.send(&session, &script).await;
        received.extend(live.until_idle().await);
    }
    received.retain(Event::is_broadcast);
    assert_eq!(received.len(), 119);
    let failed = received
        .iter_mut()
        .find(|event| event.data["text"] == "fail");
    // The replay has the outcome of the turn.
    failed.unwrap().data["metadata"]["agentError"] = json!({
        "code": "AGENT_ERROR", "message": "The agent could not answer", "reason": "internal",
    });
    assert_eq!(messages_of(&received), server.history(&session).await);
    let newest = received.last().unwrap().id.clone();

    for missed in [0, 1, 19, 20, 100, 118, 119] {
        let known = received.len() - missed;
        let id = known
            .checked_sub(1)
            .map_or("0", |at| received[at].id.as_deref().unwrap());
        let queries = [
            server.following(&session, "").header("last-event-id", id),
            server.following(&session, &format!("?after={id}")),
        ];
        for request in queries {
            let mut reader = open(request).await;
            let mut events = reader.until(|event| event.name == "state").await;
            let state = events.pop().unwrap();
            assert_eq!(events, received[known..], "the same as live");
            assert_eq!(state.id, newest);
            assert_eq!(state.data["inputEnabled"], true);
            reader.stays_silent().await;
        }
    }

    let mut reader = server.resume(&session, newest.as_deref().unwrap()).await;
    reader.expect("state").await;
    server.send(&session, "say live").await;
    let both = [reader.until_idle().await, live.until_idle().await];
    assert_eq!(both[0], both[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_event_id_overrides_the_parameter() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let first = epoch(&server.ask(&session, "say one").await["createdAt"]);
    let last = epoch(&server.ask(&session, "say two").await["agentResponse"]["createdAt"]);
    let count = async |id: i64, after: &str| {
        let request = server.following(&session, &format!("?after={after}"));
        let mut reader = open(request.header("last-event-id", id.to_string())).await;
        reader.until(|event| event.name == "state").await.len() - 1
    };
    assert_eq!(count(first, &last.to_string()).await, 3);
    assert_eq!(count(last, &first.to_string()).await, 0);
    assert_eq!(
        count(first, "nonsense").await,
        3,
        "the parameter is ignored"
    );
    assert_eq!(
        count(0, &last.to_string()).await,
        4,
        "the id of the first state"
    );
    assert_eq!(count(-1, &last.to_string()).await, 4);
}

/// Returns the number of replayed messages.
async fn replayed(request: reqwest::RequestBuilder) -> usize {
    let mut reader = open(request).await;
    reader.until(|event| event.name == "state").await.len() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_cannot_send_the_header_sends_its_last_event_id_as_a_parameter() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let first = epoch(&server.ask(&session, "say one").await["createdAt"]);
    let last = epoch(&server.ask(&session, "say two").await["agentResponse"]["createdAt"]);
    let count = async |query: String| replayed(server.following(&session, &query)).await;
    assert_eq!(count(format!("?lastEventId={first}")).await, 3);
    assert_eq!(count("?lastEventId=0".to_owned()).await, 4);
    // It overrides the time, and the header overrides it.
    let both = format!("?after={last}&lastEventId={first}");
    assert_eq!(count(both).await, 3);
    assert_eq!(
        count(format!("?lastEventId={first}&after=nonsense")).await,
        3
    );
    let request = server.following(&session, "?lastEventId=nonsense");
    assert_eq!(replayed(request.header("last-event-id", first)).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_event_id_counts_as_absent() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let first = epoch(&server.ask(&session, "say one").await["createdAt"]);
    for (header, query, messages) in [
        ("", String::new(), 0),
        (" ", "?after=".to_owned(), 0),
        ("", "?lastEventId=&after=%20".to_owned(), 0),
        ("", format!("?lastEventId={first}"), 1),
        ("", format!("?lastEventId=&after={first}"), 1),
        ("", format!("?lastEventId=%20{first}"), 1),
    ] {
        let request = server.following(&session, &query);
        let request = request.header("last-event-id", header);
        assert_eq!(replayed(request).await, messages, "{header:?} {query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parameter_is_epoch_milliseconds_or_a_time() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut times = Vec::new();
    for script in ["say one", "say two"] {
        let sent = server.ask(&session, script).await;
        times.push(sent["createdAt"].clone());
        times.push(sent["agentResponse"]["createdAt"].clone());
    }
    for (known, time) in times.iter().enumerate() {
        let text = time.as_str().unwrap();
        let shifted = text.replace('Z', "%2B00:00");
        let spaced = text.replace('Z', "+00:00");
        for after in [text, &shifted, &spaced, &epoch(time).to_string()] {
            let mut reader = open(server.following(&session, &format!("?after={after}"))).await;
            let events = reader.until(|event| event.name == "state").await;
            assert_eq!(events.len() - 1, 3 - known, "{after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_event_id_is_refused() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let wrong = async |request, parameter: &str, value: &str| {
        let (status, kind, details) = refusal(request).await;
        assert_eq!((status, kind.as_str()), (400, "InvalidPaginationError"));
        assert_eq!(details["parameter"], parameter);
        assert_eq!(details["value"], value);
        assert!(details["reason"].is_string(), "{details}");
    };
    for id in ["abc", "1.5", "1e3", "0x10", "99999999999999999999", "12 34"] {
        let bare = server.following(&session, "").header("last-event-id", id);
        wrong(bare, "Last-Event-ID", id).await;
        let request = server.following(&session, "?after=0");
        wrong(request.header("last-event-id", id), "Last-Event-ID", id).await;
    }
    for id in [
        "abc",
        "1.5",
        "2024-01-15T10:30:45.123Z",
        "99999999999999999999",
    ] {
        let query = format!("?lastEventId={id}&after=0");
        wrong(server.following(&session, &query), "lastEventId", id).await;
    }
    for after in ["abc", "1.5", "2024-01-15", "9007199254740993"] {
        let request = server.following(&session, &format!("?after={after}"));
        wrong(request, "after", after).await;
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let request = server.following(&session, "");
    let (status, kind, _) = refusal(request.header("last-event-id", bytes)).await;
    assert_eq!((status, kind.as_str()), (400, "InvalidPaginationError"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_clock_is_ahead_receives_new_events() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    server.ask(&session, "say old").await;
    let newest = server.history(&session).await.pop().unwrap()["createdAt"].clone();
    let ahead = START + 3_600_000;
    let requests = [
        server.following(&session, &format!("?after={ahead}")),
        server
            .following(&session, "")
            .header("last-event-id", ahead),
    ];
    for request in requests {
        let mut reader = open(request).await;
        let state = reader.expect("state").await;
        let latest = server.history(&session).await.pop().unwrap()["createdAt"].clone();
        assert_eq!(state.id, Some(latest.to_string()));
        assert!(latest.as_i64() >= newest.as_i64());
        server.send(&session, "say new").await;
        let shown = reader.until_idle().await;
        let texts: Vec<Value> = messages_of(&shown)
            .iter()
            .map(|message| message["text"].clone())
            .collect();
        assert_eq!(texts, ["say new", "new"]);
    }
}
