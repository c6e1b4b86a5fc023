//! A client that records what the server acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{Answer, Api, Lost, answer, number, text};
use super::rng::Rng;
use super::sse::Events;

const MOST_SESSIONS: usize = 5;

/// The transports, the first one as often as both others together.
const TRANSPORTS: [&str; 4] = ["websocket", "websocket", "http", "sse"];

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) user: String,
    /// The sessions that it has or had. The first one is shared with the other clients.
    pub(crate) sessions: Vec<Tracked>,
    /// The key of a create whose answer is missing, and the session that it continues.
    pub(crate) creating: Option<(String, Option<String>)>,
    pub(crate) rng: Rng,
    name: String,
    count: u32,
}

/// A session from the view of one client.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) id: String,
    pub(crate) is_shared: bool,
    pub(crate) fate: BatchOutcome,
    /// The state that was acknowledged last.
    pub(crate) known: Known,
    /// Whether the answer to a later call is missing.
    pub(crate) in_doubt: bool,
    /// The label of a change of the metadata whose answer is missing.
    pub(crate) labelling: Option<u64>,
    /// The session that it continues, and the number of copied messages.
    pub(crate) copied: Option<(String, usize)>,
    /// The messages that this client sent, in order.
    pub(crate) sends: Vec<Send>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchOutcome {
    Kept,
    /// Its deletion was not acknowledged.
    Deleting,
    Deleted,
}

/// The server's view of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) expires_at: String,
    pub(crate) renewals: u64,
    pub(crate) timeout: u64,
    /// The last change of the metadata; 0 if there was none.
    pub(crate) label: u64,
}

/// A message that was sent.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) key: String,
    pub(crate) content: String,
    /// The id of the message, once it is acknowledged.
    pub(crate) id: Option<String>,
    /// The id and the text of the reply, as far as the client has seen them.
    pub(crate) reply_id: Option<String>,
    pub(crate) reply: Option<String>,
}

impl Client {
    pub(crate) fn new(number: u32, seed: u64, shared: Tracked) -> Self {
        Self {
            user: Uuid::new_v4().to_string(),
            sessions: vec![shared],
            creating: None,
            rng: Rng::new(seed.wrapping_add(number.into())),
            name: format!("client{number}"),
            count: 0,
        }
    }

    /// Makes calls until the server is killed.
    pub(crate) async fn run(mut self, api: Api, killed: Arc<AtomicBool>) -> Self {
        while self.step(&api).await.is_ok() {}
        assert!(
            killed.load(Ordering::SeqCst),
            "an answer is missing although the server is running"
        );
        self
    }

    async fn step(&mut self, api: &Api) -> Result<(), Lost> {
        let own: Vec<usize> = (1..self.sessions.len())
            .filter(|index| self.sessions[*index].fate == BatchOutcome::Kept)
            .collect();
        if own.is_empty() {
            return self.create(api).await;
        }
        let chosen = self.rng.pick(&own);
        match self.rng.below(100) {
            0..4 if own.len() < MOST_SESSIONS => self.create(api).await,
            4..8 if own.len() < MOST_SESSIONS => {
                let source = self.sessions[chosen].id.clone();
                self.create_from(api, Some(source)).await
            }
            8..12 if own.len() > 2 => self.sessions[chosen].delete(api).await,
            12..14 => self.erase_all(api).await,
            14..20 => self.sessions[chosen].renew(api, "renew").await,
            20..28 => self.sessions[chosen].renew(api, "heartbeat").await,
            28..34 => {
                let minutes = 5 + self.rng.below(600);
                self.sessions[chosen].patch(api, minutes).await
            }
            34..40 => self.repeat(api, chosen).await,
            40..46 => {
                self.count += 1;
                self.sessions[chosen].label(api, self.count.into()).await
            }
            46..58 => self.send(api, 0).await,
            _ => self.send(api, chosen).await,
        }
    }

    /// Deletes all sessions of its user at once.
    async fn erase_all(&mut self, api: &Api) -> Result<(), Lost> {
        let own = self.sessions.iter_mut().filter(|it| !it.is_shared);
        let mut own: Vec<_> = own.filter(|it| it.fate == BatchOutcome::Kept).collect();
        for session in &mut own {
            session.fate = BatchOutcome::Deleting;
        }
        let erased = api.erase_user(&self.user).await?.expect(200);
        assert_eq!(erased["deleted"], own.len(), "{erased}");
        for session in own {
            session.fate = BatchOutcome::Deleted;
        }
        Ok(())
    }

    async fn create(&mut self, api: &Api) -> Result<(), Lost> {
        self.create_from(api, None).await
    }

    /// Creates a session that may continue another.
    async fn create_from(&mut self, api: &Api, source: Option<String>) -> Result<(), Lost> {
        self.count += 1;
        self.creating = Some((format!("{}-session{}", self.name, self.count), source));
        self.repeat_create(api).await
    }

    /// Repeats a create whose answer is missing.
    pub(crate) async fn repeat_create(&mut self, api: &Api) -> Result<(), Lost> {
        let Some((key, source)) = &self.creating else {
            return Ok(());
        };
        let request = match source {
            None => api.create(&self.user),
            Some(source) => api.continuing(&self.user, source),
        };
        let request = request.header("Idempotency-Key", key);
        let session = answer(request).await?.expect(201);
        let mut created = Tracked::new(&session, false);
        if let Some(source) = source {
            let continued = &session["continuedFrom"];
            assert_eq!(continued["sessionId"], **source, "{session}");
            assert_eq!(continued["complete"], true, "{session}");
            let copied = usize::try_from(number(continued, "copied")).expect("a few");
            created.copied = Some((source.clone(), copied));
        }
        self.creating = None;
        self.sessions.push(created);
        Ok(())
    }

    async fn send(&mut self, api: &Api, index: usize) -> Result<(), Lost> {
        self.count += 1;
        let words = self
            .rng
            .pick(&["hello", "i need a rest", "you are a machine", "why"]);
        let content = format!("{}-{}: {words}", self.name, self.count);
        let transport = self.rng.pick(&TRANSPORTS);
        let session = &mut self.sessions[index];
        session.sends.push(Send {
            key: format!("key-{content}").replace(' ', "."),
            content,
            id: None,
            reply_id: None,
            reply: None,
        });
        let last = session.sends.len() - 1;
        session.send(api, last, transport).await.map(|_| ())
    }

    /// Repeats a send that was acknowledged.
    async fn repeat(&mut self, api: &Api, index: usize) -> Result<(), Lost> {
        let session = &mut self.sessions[index];
        let Some(last) = session.sends.len().checked_sub(1) else {
            return Ok(());
        };
        let transport = self.rng.pick(&TRANSPORTS);
        let is_replayed = session.send(api, last, transport).await?;
        assert!(is_replayed, "{:?} was stored twice", session.sends[last]);
        Ok(())
    }
}

impl Tracked {
    pub(crate) fn new(session: &Value, is_shared: bool) -> Self {
        Self {
            id: text(session, "sessionId"),
            is_shared,
            fate: BatchOutcome::Kept,
            known: Known::of(session),
            in_doubt: false,
            labelling: None,
            copied: None,
            sends: Vec::new(),
        }
    }

    pub(crate) async fn delete(&mut self, api: &Api) -> Result<(), Lost> {
        self.fate = BatchOutcome::Deleting;
        api.delete(&self.id).await?.expect(200);
        self.fate = BatchOutcome::Deleted;
        Ok(())
    }

    async fn renew(&mut self, api: &Api, call: &str) -> Result<(), Lost> {
        self.in_doubt = true;
        let request = api.request(Method::POST, &format!("/{}/{call}", self.id));
        let session = answer(request).await?.expect(200);
        self.acknowledged(&session, 1);
        Ok(())
    }

    async fn patch(&mut self, api: &Api, minutes: u64) -> Result<(), Lost> {
        self.in_doubt = true;
        let request = api
            .request(Method::PATCH, &format!("/{}/timeout", self.id))
            .json(&json!({ "timeoutMinutes": minutes }));
        let session = answer(request).await?.expect(200);
        assert_eq!(session["timeoutConfig"]["timeoutMinutes"], minutes);
        self.acknowledged(&session, 0);
        Ok(())
    }

    /// Changes the metadata, with a label that is not used again.
    async fn label(&mut self, api: &Api, label: u64) -> Result<(), Lost> {
        self.in_doubt = true;
        self.labelling = Some(label);
        let patch = json!({ "metadata": { "label": label, "before": null } });
        let request = api.request(Method::PATCH, &format!("/{}", self.id));
        let session = answer(request.json(&patch)).await?.expect(200);
        assert_eq!(session["metadata"], json!({ "label": label }));
        self.labelling = None;
        self.acknowledged(&session, 0);
        Ok(())
    }

    fn acknowledged(&mut self, session: &Value, more: u64) {
        let now = Known::of(session);
        assert_eq!(now.renewals, self.known.renewals + more, "{session}");
        self.known = now;
        self.in_doubt = false;
    }

    /// Sends a message, for the first time or again; returns whether it was stored already.
    pub(crate) async fn send(
        &mut self,
        api: &Api,
        index: usize,
        transport: &str,
    ) -> Result<bool, Lost> {
        let send = &self.sends[index];
        self.in_doubt |= send.id.is_none();
        let body = json!({ "content": send.content, "transport": transport });
        let request = api
            .post(&format!("/{}/messages", self.id), &body)
            .header("Idempotency-Key", &send.key);
        if transport == "sse" {
            return self.stream(request, index).await;
        }
        let Answer {
            status,
            is_replayed,
            body,
        } = answer(request).await?;
        if status == 429 {
            // Too many messages wait; this one was refused.
            assert!(send.id.is_none(), "a repeat uses no capacity: {body}");
            self.sends.remove(index);
            self.in_doubt = false;
            return Ok(false);
        }
        assert_eq!(status, 201, "{body}");
        self.stored(index, &body["userMessage"], &body["sessionStatus"]);
        if transport == "http" {
            let reply = &body["agentResponse"];
            assert_eq!(reply["inReplyTo"], body["userMessage"]["id"], "{body}");
            self.sends[index].saw_reply(&text(reply, "id"), Some(text(reply, "text")));
        }
        Ok(is_replayed)
    }

    async fn stream(
        &mut self,
        request: reqwest::RequestBuilder,
        index: usize,
    ) -> Result<bool, Lost> {
        let Some((mut events, is_replayed)) = Events::try_open(request).await? else {
            self.sends.remove(index);
            self.in_doubt = false;
            return Ok(false);
        };
        let mut so_far = String::new();
        while let Some(event) = events.next().await? {
            let data = event.data;
            match event.name.as_str() {
                "user_message" => self.stored(index, &data, &data["sessionStatus"]),
                "chunk" => {
                    so_far += &text(&data, "chunk");
                    self.sends[index].saw_reply(&text(&data, "messageId"), None);
                }
                "done" => {
                    assert_eq!(text(&data, "text"), so_far);
                    self.sends[index].saw_reply(&text(&data, "id"), Some(so_far));
                    return Ok(is_replayed);
                }
                _ => panic!("{} {data} is not a part of a reply", event.name),
            }
        }
        panic!("a stream ended without its reply");
    }

    fn stored(&mut self, index: usize, message: &Value, status: &Value) {
        let send = &mut self.sends[index];
        assert_eq!(message["content"], *send.content, "{message}");
        let id = text(message, "id");
        assert!(
            send.id.as_ref().is_none_or(|before| *before == id),
            "{send:?} is {id} now"
        );
        send.id = Some(id);
        self.known.expires_at = text(status, "expiresAt");
        self.known.renewals = number(status, "renewalCount");
        self.in_doubt = false;
    }
}

impl Send {
    fn saw_reply(&mut self, id: &str, reply: Option<String>) {
        let before = self.reply_id.get_or_insert_with(|| id.to_owned());
        assert_eq!(before, id, "a reply has one id");
        if let Some(reply) = reply {
            let before = self.reply.get_or_insert_with(|| reply.clone());
            assert_eq!(*before, reply, "a reply has one text");
        }
    }
}

impl Known {
    pub(crate) fn of(session: &Value) -> Self {
        Self {
            expires_at: text(session, "expiresAt"),
            renewals: number(session, "renewalCount"),
            timeout: number(&session["timeoutConfig"], "timeoutMinutes"),
            label: session["metadata"]["label"].as_u64().unwrap_or(0),
        }
    }
}
