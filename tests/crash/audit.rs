//! Checks that the server still has what it acknowledged.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::{Api, text};
use super::client::{BatchOutcome, Client, Known, Tracked};

/// The longest time for the replies to open turns. Generous, since a test machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

/// The findings of an audit, to show that there was something to check.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Existing sessions.
    pub(crate) sessions: u64,
    /// Messages of users.
    pub(crate) messages: usize,
    /// Unanswered sends whose message was stored.
    pub(crate) stored_unheard: u32,
    /// Unanswered sends whose message was not stored.
    pub(crate) not_stored: u32,
}

/// Checks everything that was acknowledged to a client, and retries what is in doubt.
///
/// Its shared session is checked by [`shared_session`].
pub(crate) async fn own_sessions(client: &mut Client, api: &Api, findings: &mut Findings) {
    let live = "the server is running";
    client.repeat_create(api).await.expect(live);
    for session in &mut client.sessions {
        match session.fate {
            BatchOutcome::Deleting => {
                let status = api.delete(&session.id).await.expect(live).status;
                assert!([200, 404].contains(&status), "{status} for {session:?}");
                session.fate = BatchOutcome::Deleted;
                gone(session, api).await;
            }
            BatchOutcome::Deleted => gone(session, api).await,
            BatchOutcome::Kept => {
                standing(session, api).await;
                lost_sends(session, api, findings).await;
                copy(session, api).await;
                if !session.is_shared {
                    let copied = session.copied.as_ref().map_or(0, |(_, copied)| *copied);
                    let messages = answered_history(&session.id, copied, api).await;
                    transcript(&messages, &[session]);
                    findings.messages += messages.len() / 2;
                    findings.sessions += 1;
                }
            }
        }
    }
    listed(client, api).await;
}

/// Checks everything that was acknowledged to any client in their shared session.
pub(crate) async fn shared_session(clients: &[Client], api: &Api, findings: &mut Findings) {
    let shares: Vec<&Tracked> = clients.iter().map(|client| &client.sessions[0]).collect();
    let messages = answered_history(&shares[0].id, 0, api).await;
    transcript(&messages, &shares);
    let info = api.get(&format!("/{}", shares[0].id)).await;
    let info = info.expect("the server is running").expect(200);
    assert_eq!(
        info["renewalCount"],
        messages.len() / 2,
        "each message renews the session once"
    );
    findings.messages += messages.len() / 2;
    findings.sessions += 1;
}

async fn gone(session: &Tracked, api: &Api) {
    for path in ["", "/messages"] {
        let found = api.get(&format!("/{}{path}", session.id)).await;
        let status = found.expect("the server is running").status;
        assert_eq!(status, 404, "{} was deleted", session.id);
    }
}

async fn standing(session: &mut Tracked, api: &Api) {
    let info = api.get(&format!("/{}", session.id)).await;
    let found = Known::of(&info.expect("the server is running").expect(200));
    let known = &session.known;
    if session.is_shared {
        assert!(found.renewals >= known.renewals, "{found:?}, was {known:?}");
    } else if session.in_doubt {
        let label = found.label;
        assert!(
            label == known.label || Some(label) == session.labelling,
            "{found:?}, was {known:?}"
        );
        let possible = known.renewals..=known.renewals + 1;
        assert!(
            possible.contains(&found.renewals),
            "{found:?}, was {known:?}"
        );
    } else {
        assert_eq!(found, *known);
    }
    session.known = found;
    session.in_doubt = false;
    session.labelling = None;
}

/// A copied conversation is there completely, and is the beginning of its source.
async fn copy(session: &Tracked, api: &Api) {
    let Some((source, copied)) = &session.copied else {
        return;
    };
    let live = "the server is running";
    let messages = api.history(&session.id).await.expect(live);
    assert!(messages.len() >= *copied, "{session:?}");
    if api.get(&format!("/{source}")).await.expect(live).status != 200 {
        return;
    }
    let originals = api.history(source).await.expect(live);
    for (copy, original) in messages[..*copied].iter().zip(&originals) {
        for member in ["content", "createdAt", "authorId"] {
            assert_eq!(copy[member], original[member], "of {session:?}");
        }
    }
}

/// Retries unanswered sends: each message is stored once, then or now.
async fn lost_sends(session: &mut Tracked, api: &Api, findings: &mut Findings) {
    let lost = session.sends.iter().position(|send| send.id.is_none());
    let Some(lost) = lost else { return };
    assert_eq!(lost, session.sends.len() - 1, "a client stops immediately");
    let content = session.sends[lost].content.clone();
    let messages = api
        .history(&session.id)
        .await
        .expect("the server is running");
    let was_stored = messages
        .iter()
        .any(|message| message["content"] == *content);
    let is_replayed = session.send(api, lost, "http").await;
    assert_eq!(is_replayed.expect("the server is running"), was_stored);
    assert_eq!(session.sends.len(), lost + 1, "the queue has capacity");
    if was_stored {
        findings.stored_unheard += 1;
    } else {
        findings.not_stored += 1;
    }
}

/// Returns the messages of a session after the copied ones, oldest first, once each message of the
/// user has its reply.
async fn answered_history(session: &str, copied: usize, api: &Api) -> Vec<Value> {
    let since = Instant::now();
    loop {
        let mut messages = api.history(session).await.expect("the server is running");
        messages.drain(..copied);
        let replies = messages.iter().filter(|message| is_reply(message)).count();
        if replies * 2 >= messages.len() {
            return messages;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "there are {replies} replies among {} messages",
            messages.len()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Checks a whole session against what the clients sent.
fn transcript(messages: &[Value], shares: &[&Tracked]) {
    let (replies, sent): (Vec<&Value>, Vec<&Value>) =
        messages.iter().partition(|message| is_reply(message));
    let times: Vec<String> = messages.iter().map(|it| text(it, "createdAt")).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "messages have an order");

    // Nothing is lost, duplicated or invented, and each client's messages are in order.
    for share in shares {
        let wanted: Vec<&str> = share.sends.iter().map(|it| it.content.as_str()).collect();
        let theirs: HashSet<&str> = wanted.iter().copied().collect();
        let found: Vec<&str> = sent
            .iter()
            .filter_map(|message| message["content"].as_str())
            .filter(|content| theirs.contains(content))
            .collect();
        assert_eq!(found, wanted, "in the session {}", share.id);
    }
    let wanted: usize = shares.iter().map(|share| share.sends.len()).sum();
    assert_eq!(sent.len(), wanted, "messages that no client sent");

    // Each message has one reply, and the replies are in the order of the messages.
    let answered: Vec<String> = replies.iter().map(|it| text(it, "inReplyTo")).collect();
    let ids: Vec<String> = sent.iter().map(|it| text(it, "id")).collect();
    assert_eq!(answered, ids);
    let place: HashMap<String, usize> = messages.iter().map(|it| text(it, "id")).zip(0..).collect();
    assert_eq!(place.len(), messages.len(), "an id belongs to one message");
    for (message, reply) in sent.iter().zip(&replies) {
        assert!(place[&text(message, "id")] < place[&text(reply, "id")]);
        assert!(message["metadata"].get("agentError").is_none(), "{message}");
    }

    // The ids of the answers are still the same.
    let replies: HashMap<&str, &&Value> = ids.iter().map(String::as_str).zip(&replies).collect();
    for send in shares.iter().flat_map(|share| &share.sends) {
        let id = send.id.as_ref().expect("it was retried");
        assert!(ids.contains(id), "{send:?} has another id now");
        let reply = replies[id.as_str()];
        let is_the_same = |seen: &Option<String>, member: &str| {
            seen.as_ref().is_none_or(|seen| reply[member] == **seen)
        };
        assert!(is_the_same(&send.reply_id, "id"), "{send:?}: {reply}");
        assert!(is_the_same(&send.reply, "content"), "{send:?}: {reply}");
    }
}

/// The client's list has its sessions, each once.
async fn listed(client: &Client, api: &Api) {
    let list = api.get(&format!("?userId={}", client.user)).await;
    let list = list.expect("the server is running").expect(200);
    let found = list["sessions"].as_array().expect("a list of sessions");
    let mut found: Vec<String> = found.iter().map(|it| text(it, "sessionId")).collect();
    found.sort();
    let kept = client
        .sessions
        .iter()
        .filter(|session| !session.is_shared && session.fate == BatchOutcome::Kept);
    let mut wanted: Vec<String> = kept.map(|session| session.id.clone()).collect();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(list["total"], wanted.len());
}

fn is_reply(message: &Value) -> bool {
    message["isAgent"] == true
}
