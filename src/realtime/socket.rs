//! One connected socket: its events one after the other, and what happens in its rooms.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use engineioxide::Str;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::encoded::Encoded;
use super::hub::EngineSocket;
use super::packet;
use super::payload::{self, ClientCommand, Say};
use super::session::{Queued, Session};
use crate::app::error::AppError;
use crate::app::{
    App, Followed, Scope, SendRequest, SendingSocket, SentMessage, SessionState,
    SessionSubscription, Target,
};
use crate::auth::ClientContext;
use crate::client_events;
use crate::domain::id::SessionId;
use crate::events::Lagged;
use crate::metrics::Open;

/// The most rooms of a socket.
const MAX_ROOMS: usize = 256;

/// The message that is being stored for a socket.
type Sending = Pin<Box<dyn Future<Output = Result<SentMessage, AppError>> + Send>>;

/// Why a socket is disconnected: it cannot keep up, or is gone.
#[derive(Debug)]
struct Disconnect(&'static str);

/// A connected client.
pub(super) struct Peer {
    pub(super) socket: Arc<EngineSocket>,
    pub(super) session: Arc<Session>,
    /// What is written once for all sockets.
    pub(super) encoded: Arc<Encoded>,
    /// Whether its connection gives way to no other, whether it is in a room or not.
    pub(super) holds_always: bool,
}

impl Peer {
    /// Sends a packet, or disconnects a client that has too much to read already.
    pub(super) fn tell(socket: &EngineSocket, session: &Session, packet: String) {
        if let Err(Disconnect(reason)) = send(socket, session, packet) {
            give_up(socket, session, reason);
        }
    }

    fn send(&self, packet: impl Into<Str>) -> Result<(), Disconnect> {
        send(&self.socket, &self.session, packet)
    }

    /// Sends an event. A client that cannot take it is disconnected, since it would miss it
    /// without knowing.
    fn emit<T: Serialize>(&self, name: &str, payload: &T) -> Result<(), Disconnect> {
        self.send(written(name, payload)?)
    }

    /// Sends an event and, where the client waits for an answer, the same as the answer.
    fn answer(&self, name: &str, payload: &Value, ack: Option<u64>) -> Result<(), Disconnect> {
        self.emit(name, payload)?;
        self.acknowledge(ack, Some(payload))
    }

    fn acknowledge(&self, ack: Option<u64>, body: Option<&Value>) -> Result<(), Disconnect> {
        ack.map_or(Ok(()), |ack| self.send(packet::acknowledged(ack, body)))
    }
}

fn send(
    socket: &EngineSocket,
    session: &Session,
    packet: impl Into<Str>,
) -> Result<(), Disconnect> {
    let packet = packet.into();
    // Engine.IO puts one byte before it.
    let counted = session.outbox.send(packet.len() + 1);
    counted.map_err(|_| Disconnect("it does not read what it is sent"))?;
    let sent = socket.emit(packet);
    sent.map_err(|_| Disconnect("it does not read what it is sent, or is gone"))
}

fn written<T: Serialize>(name: &str, payload: &T) -> Result<String, Disconnect> {
    packet::emitted(name, payload).map_err(|_| Disconnect("an event cannot be written"))
}

/// Ends a socket at once: what waits for it is dropped, and its client knows that it misses
/// something.
fn give_up(socket: &EngineSocket, session: &Session, reason: &str) {
    tracing::info!(socket = %socket.id, reason, "a socket is disconnected");
    session.cut_off();
}

/// Speaks for a connected socket until it is no more.
pub(super) async fn run(
    app: Arc<App>,
    peer: Peer,
    queued: mpsc::Receiver<Queued>,
    visitor: ClientContext,
    entity_id: Option<Uuid>,
) {
    let _open = Open::new(&app.metrics().sockets);
    let closed = peer.session.closed.clone();
    let mut task = Task {
        follower: SessionSubscription::new(&app),
        app,
        peer,
        visitor,
        sending: None,
    };
    let speaking = async {
        task.greet(entity_id)?;
        task.work(queued).await
    };
    if let Some(Err(Disconnect(reason))) = closed.run_until_cancelled(speaking).await {
        give_up(&task.peer.socket, &task.peer.session, reason);
    }
}

struct Task {
    app: Arc<App>,
    peer: Peer,
    visitor: ClientContext,
    follower: SessionSubscription,
    /// The message that is being stored, and what its answer is to be called.
    sending: Option<(Sending, Option<u64>)>,
}

impl Task {
    fn greet(&self, entity_id: Option<Uuid>) -> Result<(), Disconnect> {
        let id = self.peer.socket.id;
        self.peer.send(packet::connected(id.as_str()))?;
        let greeting = json!({ "message": "Connected to sessiond", "socketId": id });
        self.peer.emit("connection_established", &greeting)?;
        if let Some(entity_id) = entity_id {
            let now = self.app.now();
            let confirmation = json!({ "entityId": entity_id, "timestamp": now });
            self.peer.emit("authenticated", &confirmation)?;
        }
        Ok(())
    }

    async fn work(&mut self, mut queued: mpsc::Receiver<Queued>) -> Result<(), Disconnect> {
        loop {
            // What happens in the rooms goes on while a message is being stored; the next event
            // of the client waits for it.
            tokio::select! {
                followed = self.follower.next() => self.tell(followed)?,
                (stored, ack) = in_flight(&mut self.sending) => {
                    self.sending = None;
                    self.acknowledge(stored, ack)?;
                }
                event = queued.recv(), if self.sending.is_none() => match event {
                    Some(event) => self.handle(event).await?,
                    None => return Ok(()),
                },
            }
            let is_in_a_room = self.follower.session_count() > 0;
            self.peer
                .session
                .hold(self.peer.holds_always || is_in_a_room);
        }
    }

    async fn handle(&mut self, event: Queued) -> Result<(), Disconnect> {
        let ack = event.ack;
        match payload::read(event.sent) {
            Ok(ClientCommand::Join { room }) => self.join(&room, ack).await,
            Ok(ClientCommand::Leave { room }) => {
                if let Some(session) = SessionId::parse(&room) {
                    self.follower.leave(session);
                }
                self.peer.acknowledge(ack, None)
            }
            Ok(ClientCommand::Say(say)) => {
                self.send(*say, ack);
                Ok(())
            }
            Err(reason) => self.refuse(&reason, ack),
        }
    }

    async fn join(&mut self, room: &str, ack: Option<u64>) -> Result<(), Disconnect> {
        let is_new = SessionId::parse(room).is_none_or(|id| !self.follower.follows(id));
        if is_new && self.follower.session_count() >= MAX_ROOMS {
            return self.refuse(
                &format!("a socket can be in at most {MAX_ROOMS} rooms"),
                ack,
            );
        }
        let state = match self.follow(room).await {
            Ok(state) => state,
            Err(error) => return self.refuse(&error.to_string(), ack),
        };
        let id = state.session.id;
        let mut joined = json!({
            "message": "Joined the room", "channelId": id, "roomId": id, "sessionId": id,
        });
        let state = client_events::state(&state, self.app.now()).payload;
        if let (Some(joined), Value::Object(state)) = (joined.as_object_mut(), state) {
            joined.extend(state);
        }
        self.peer.emit("channel_joined", &joined)?;
        self.peer.answer("room_joined", &joined, ack)
    }

    async fn follow(&mut self, room: &str) -> Result<SessionState, AppError> {
        let target = self.target(room.to_owned());
        let session = self.follower.join(&target).await?;
        self.follower.state(session.id).await
    }

    fn send(&mut self, say: Say, ack: Option<u64>) {
        let app = Arc::clone(&self.app);
        let request = SendRequest {
            session: self.target(say.room),
            address: self.visitor.address,
            message: say.message,
            socket: Some(SendingSocket {
                listener: self.follower.id(),
                sender_id: say.sender_id,
                sender_name: say.sender_name,
            }),
        };
        self.sending = Some((Box::pin(async move { app.send(request).await }), ack));
    }

    /// A session as this socket's client names and meets it.
    fn target(&self, name: String) -> Target {
        Target {
            name,
            scope: Scope::of(self.visitor.principal.user()),
        }
    }

    fn acknowledge(
        &self,
        stored: Result<SentMessage, AppError>,
        ack: Option<u64>,
    ) -> Result<(), Disconnect> {
        let message = match stored {
            Ok(message) => message,
            Err(error) => return self.refuse(&error.to_string(), ack),
        };
        let id = message.session_id();
        let acknowledgement = json!({
            "clientMessageId": message.client_message_id, "messageId": message.sent.message.id,
            "status": "received_by_server_and_processing", "channelId": id, "roomId": id,
        });
        self.peer.answer("messageAck", &acknowledgement, ack)
    }

    fn tell(&self, followed: Result<Followed, Lagged>) -> Result<(), Disconnect> {
        let followed =
            followed.map_err(|Lagged| Disconnect("it lags behind what happens in its rooms"))?;
        let (listener, happening) = (self.follower.id(), &followed.happening);
        let packet = self.peer.encoded.packet(listener, happening, || {
            let event = client_events::event(&self.app, listener, happening);
            written(event.name, &event.payload)
        });
        self.peer.send(packet?)
    }

    fn refuse(&self, reason: &str, ack: Option<u64>) -> Result<(), Disconnect> {
        self.peer
            .answer("messageError", &json!({ "error": reason }), ack)
    }
}

/// Waits for the message that is being stored, for ever where there is none.
async fn in_flight(
    sending: &mut Option<(Sending, Option<u64>)>,
) -> (Result<SentMessage, AppError>, Option<u64>) {
    match sending {
        Some((sending, ack)) => (sending.await, *ack),
        None => pending().await,
    }
}
