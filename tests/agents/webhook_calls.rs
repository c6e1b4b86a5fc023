//! What a webhook receives: headers, signatures and body.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Builder, Server, USER, answer, eventually};
use crate::stand_in::{AGENT, Call, StandIn, character, server_with};
use crate::webhook::backend;

/// Returns a server whose agent's calls are signed with this secret.
fn signing_with(secret: &str, mut backend: Value) -> Builder {
    backend["secretEnv"] = "HOOK_SECRET".into();
    Server::builder()
        .set("HOOK_SECRET", secret)
        .character("agent.json", &character(AGENT, &backend))
}

fn hmac(key: &[u8], parts: [&[u8]; 2]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Asserts both signatures of a call: the one of this server with `secret`, that of the Standard
/// Webhooks specification with `key`.
fn assert_signed(call: &Call, secret: &str, key: &[u8]) {
    let header = |name| call.header(name).unwrap();
    let digest = hmac(secret.as_bytes(), [&call.body, b""]);
    let expected = format!("sha256={}", hex::encode(digest));
    assert_eq!(header("x-sessiond-signature"), expected);

    let (id, time) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = format!("{id}.{time}.");
    let digest = hmac(key, [signed.as_bytes(), &call.body]);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(digest));
    assert_eq!(header("webhook-signature"), expected);
}

#[tokio::test]
async fn a_call_is_signed_and_has_the_same_turn_id_in_every_attempt() {
    // The key is the exact value, with blanks.
    let secret = " s3cret\n";
    let mut stand_in = StandIn::start().await;
    let server = signing_with(secret, backend(&stand_in)).start().await;
    let session = server
        .session_with(json!({ "agentId": AGENT, "metadata": { "plan": "free", "mood": "?" } }))
        .await;
    let sent = json!({
        "content": "Grüße", "transport": "http", "metadata": { "mood": "fine" },
        "attachments": [{ "type": "image", "url": "https://example.org/a.png" }],
    });
    let asking = tokio::spawn(answer(server.sending(&session, &sent)));
    let call = stand_in.next().await;
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("POST", "/hook?v=1")
    );
    assert_signed(&call, secret, secret.as_bytes());
    assert_eq!(call.header("content-type"), Some("application/json"));
    let accepted = "text/event-stream, application/json";
    assert_eq!(call.header("accept"), Some(accepted));
    assert_eq!(call.header("x-sessiond-attempt"), Some("1"));
    assert_eq!(call.header("webhook-timestamp"), Some("1704067200"));

    let asked = call.json();
    let history = server.history(&session).await;
    let info = server.info(&session).await;
    let turn = asked["turnId"].clone();
    assert_eq!(call.header("webhook-id"), turn.as_str());
    assert_eq!(
        asked,
        json!({
            "turnId": turn,
            "sessionId": session,
            "agentId": AGENT,
            "userId": USER,
            "agent": { "id": AGENT, "name": "Agent 1" },
            "session": {
                "createdAt": info["createdAt"],
                "expiresAt": info["expiresAt"],
                "metadata": { "plan": "free", "mood": "?" },
            },
            "message": {
                "id": history[0]["id"],
                "content": "Grüße",
                "metadata": { "plan": "free", "mood": "fine", "sessionId": session },
                "attachments": [{ "type": "image", "url": "https://example.org/a.png" }],
                "createdAt": history[0]["createdAt"],
            },
            "history": [],
            "deadline": "2024-01-01T00:10:00.000Z",
        })
    );
    let busy = [("retry-after", "2")];
    call.answer_with(503, &busy, "{}").await;
    let call = stand_in.next_in_time(&server).await;
    assert_eq!(call.json(), asked, "word for word");
    assert_eq!(call.header("webhook-id"), turn.as_str());
    assert_eq!(call.header("x-sessiond-attempt"), Some("2"));
    let time: i64 = call.header("webhook-timestamp").unwrap().parse().unwrap();
    assert!(time >= 1_704_067_202, "the time is that of the attempt");
    assert_signed(&call, secret, secret.as_bytes());
    call.answer(200, &json!({ "text": "Hello." })).await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_secret_in_base64_holds_the_key_of_the_standard_signature() {
    let secret = "whsec_a2V5IG9mIHRoZSBjYWxs";
    let mut stand_in = StandIn::start().await;
    let server = signing_with(secret, backend(&stand_in)).start().await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    assert_signed(&call, secret, b"key of the call");
    call.answer(200, &json!({ "text": "Hello." })).await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_secret_that_announces_base64_and_has_none_stops_the_start() {
    for wrong in ["whsec_", "whsec_TOPSECRET!", "whsec_VE9QU0VDUkVU\n"] {
        let backend = json!({ "type": "webhook", "url": "http://h" });
        let error = signing_with(wrong, backend).start_error().await;
        let said = "settings.backend.secretEnv names the variable HOOK_SECRET, whose value begins \
                    with whsec_; expected a key in base64 after that";
        assert!(
            error.contains("agent.json:1: ") && error.contains(said),
            "{error}"
        );
        assert!(
            !error.contains("SECRET!") && !error.contains("VE9Q"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_promised_turn_looks_as_it_did_in_the_call() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["historyMessages"] = 5.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "One");
    let call = stand_in.next().await;
    call.answer(200, &json!({ "text": "1" })).await;
    asking.await.unwrap().expect(201);

    server.advance(Duration::from_secs(7));
    server.tell(&session, "Two").await;
    let call = stand_in.next().await;
    // Without a secret there are no signatures.
    assert_eq!(call.header("x-sessiond-signature"), None);
    assert_eq!(call.header("webhook-signature"), None);
    assert_eq!(call.header("webhook-timestamp"), Some("1704067207"));
    let asked = call.json();
    assert_eq!(call.header("webhook-id"), asked["turnId"].as_str());
    assert_eq!(asked["deadline"], "2024-01-01T00:10:07.000Z");
    assert_eq!(asked["history"].as_array().unwrap().len(), 2);
    call.answer_with(202, &[], "").await;
    let waiting = eventually("it waits", async || {
        let path = format!("/api/agents/{AGENT}/turns");
        let page = server.get(&path).await.expect(200).body;
        page["turns"].get(0).cloned()
    })
    .await;
    assert_eq!(waiting, asked);
    server.stop().await;
}
