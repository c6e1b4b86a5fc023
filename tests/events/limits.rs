//! Clients that do not read, and clients that disconnect.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;

use crate::reader::{Event, Reader, messages_of};
use crate::server::Server;
use crate::slow_client::follow_paused;

/// More than the socket buffers hold.
const LONG_TURNS: usize = 40;
/// Many events in few messages: with their chunks, 1.5 times as many as the server buffers for a
/// client that does not read.
const CHUNKED_TURNS: usize = 20;
const CHUNKS: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_disconnected_and_can_resume_without_loss() {
    let server = Server::in_real_time(&[]).await;
    let session = server.create_plain().await;
    let (asleep, wake) = follow_paused(&server, &session).await;
    let mut awake = server.follow_live(&session).await;
    let mut received = Vec::new();
    let chunked = vec!["say x"; CHUNKS].join("|");
    let scripts = std::iter::repeat_n("long 60000", LONG_TURNS)
        .chain(std::iter::repeat_n(chunked.as_str(), CHUNKED_TURNS));
    for script in scripts {
        server.send(&session, script).await;
        received.extend(awake.until_idle().await);
    }
    let chunks = received.iter().filter(|event| event.is_chunk()).count();
    assert_eq!(chunks, LONG_TURNS + CHUNKED_TURNS * CHUNKS);
    let history = server.history(&session).await;
    assert_eq!(messages_of(&received), history);

    // The buffered events come complete and in order, then the stream ends.
    wake.cancel();
    let events = asleep.rest().await;
    assert!(
        events.len() < received.len(),
        "the client was not disconnected"
    );
    assert_eq!(events, received[..events.len()]);

    let last = events.iter().rev().find_map(|event| event.id.clone());
    let mut resumed = server.resume(&session, &last.unwrap()).await;
    let mut all = events;
    all.extend(resumed.until(|event| event.name == "state").await);
    assert_eq!(messages_of(&all), history);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_closed_streams_leak_nothing() {
    // A leaked stream would keep its connection slot.
    let server = Server::in_real_time(&[("MAX_CONNECTIONS", "60")]).await;
    let session = server.create_plain().await;
    let mut subscriber = server.follow_live(&session).await;
    for round in 0..25 {
        let mut readers = Vec::new();
        for number in 0..40 {
            let query = if number % 2 == 0 { "" } else { "?after=0" };
            readers.push(open_with_retries(|| server.following(&session, query)).await);
        }
        if round % 5 == 0 {
            server.send(&session, "say still here").await;
            let shown = subscriber.until_idle().await;
            assert_eq!(messages_of(&shown).len(), 2);
            for reader in &mut readers {
                reader.until(|event| event.name == "state").await;
            }
        }
    }
    server.send(&session, "say at last").await;
    let shown = subscriber.until_idle().await;
    assert_eq!(messages_of(&shown).len(), 2);
    let history = server.history(&session).await;
    assert_eq!(history.len(), 12);
    drop(subscriber);

    // Without subscribers the server stops quickly.
    let start = Instant::now();
    server.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_disconnects_does_not_prevent_the_reply_from_being_stored() {
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

/// Opens a stream; retries until the server has noticed that others were closed.
async fn open_with_retries(request: impl Fn() -> RequestBuilder) -> Reader {
    for _ in 0..200 {
        // A full server closes the connection.
        if let Ok(response) = request().send().await {
            assert_eq!(response.status(), 200);
            return Reader::new(response);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server accepts no stream any more");
}
