//! Clients that do not read, and clients that go away.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;

use crate::drowsy::follow_asleep;
use crate::reader::{Event, Reader, messages_of};
use crate::server::Server;

/// More than the sockets' buffers on both sides hold.
const LONG_TURNS: usize = 40;
/// Many events in few messages: with their chunks, half again as many as the server keeps for a
/// client that does not read.
const CHUNKED_TURNS: usize = 20;
const CHUNKS: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_given_up_and_can_resume_while_others_miss_nothing() {
    let server = Server::in_real_time(&[]).await;
    let session = server.create_plain().await;
    let (asleep, wake) = follow_asleep(&server, &session).await;
    let mut awake = server.follow_live(&session).await;
    let mut told = Vec::new();
    let chunked = vec!["say x"; CHUNKS].join("|");
    let scripts = std::iter::repeat_n("long 60000", LONG_TURNS)
        .chain(std::iter::repeat_n(chunked.as_str(), CHUNKED_TURNS));
    for script in scripts {
        server.send(&session, script).await;
        told.extend(awake.until_idle().await);
    }
    let chunks = told.iter().filter(|event| event.is_chunk()).count();
    assert_eq!(chunks, LONG_TURNS + CHUNKED_TURNS * CHUNKS);
    let history = server.history(&session).await;
    assert_eq!(messages_of(&told), history);

    // What was kept for it comes, whole and in order, and then the stream is over.
    wake.cancel();
    let events = asleep.rest().await;
    assert!(events.len() < told.len(), "nothing was given up");
    assert_eq!(events, told[..events.len()]);

    let last = events.iter().rev().find_map(|event| event.id.clone());
    let mut resumed = server.resume(&session, &last.unwrap()).await;
    let mut all = events;
    all.extend(resumed.until(|event| event.name == "state").await);
    assert_eq!(messages_of(&all), history);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_that_come_and_go_leave_nothing_behind() {
    // A stream that was left open would keep its place.
    let server = Server::in_real_time(&[("MAX_CONNECTIONS", "60")]).await;
    let session = server.create_plain().await;
    let mut listener = server.follow_live(&session).await;
    for round in 0..25 {
        let mut readers = Vec::new();
        for number in 0..40 {
            let query = if number % 2 == 0 { "" } else { "?after=0" };
            readers.push(patiently(|| server.following(&session, query)).await);
        }
        if round % 5 == 0 {
            server.send(&session, "say still here").await;
            let shown = listener.until_idle().await;
            assert_eq!(messages_of(&shown).len(), 2);
            for reader in &mut readers {
                reader.until(|event| event.name == "state").await;
            }
        }
    }
    server.send(&session, "say at last").await;
    let shown = listener.until_idle().await;
    assert_eq!(messages_of(&shown).len(), 2);
    let history = server.history(&session).await;
    assert_eq!(history.len(), 12);
    drop(listener);

    // With nobody listening any more, the end of all of it is quick.
    let start = Instant::now();
    server.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_does_not_keep_the_reply_from_being_stored() {
    let server = Server::start().await;
    let session = server.create_plain().await;
    let mut reader = server.follow_live(&session).await;
    let mut other = server.follow_live(&session).await;
    server
        .send(&session, "say half | wait 60000 | say whole")
        .await;
    reader.until(Event::is_chunk).await;
    drop(reader);
    server.minutes_pass(1).await;
    let shown = other.until_idle().await;
    assert_eq!(messages_of(&shown), server.history(&session).await);
}

/// Opens a stream, also where the server has yet to notice that others were closed.
async fn patiently(request: impl Fn() -> RequestBuilder) -> Reader {
    for _ in 0..200 {
        // A server that is full closes the connection.
        if let Ok(response) = request().send().await {
            assert_eq!(response.status(), 200);
            return Reader::new(response);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server has no place for a stream any more");
}
