//! The task of a connected socket: handles its events one by one, and sends it session events.

use std::sync::Arc;

use futures_util::future::{BoxFuture, OptionFuture};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::packet;
use super::packet_cache::PacketCache;
use super::payload::{self, ClientCommand, SendCommand};
use super::peer::{Disconnect, Peer, encode};
use super::session::QueuedEvent;
use crate::app::error::AppError;
use crate::app::{
    App, Scope, SendRequest, SendingSocket, SentMessage, SessionRef, SessionState,
    SessionSubscription, SubscribedEvent,
};
use crate::auth::ClientContext;
use crate::client_events;
use crate::domain::id::SessionId;
use crate::events::Lagged;
use crate::metrics::OpenGauge;

/// The most sessions that a socket can join.
const MAX_ROOMS: usize = 256;

/// A message that is being stored, with the id of its acknowledgement.
pub(super) type Sending = BoxFuture<'static, (Result<SentMessage, AppError>, Option<u64>)>;

/// The state of a connected socket.
pub(super) struct SocketTask {
    pub(super) app: Arc<App>,
    pub(super) peer: Peer,
    pub(super) packets: Arc<PacketCache>,
    pub(super) client: ClientContext,
    /// Whether the connection is busy even without a joined session.
    pub(super) always_busy: bool,
    pub(super) subscription: SessionSubscription,
    pub(super) sending: Option<Sending>,
}

impl SocketTask {
    /// Serves the socket until it is closed.
    pub(super) async fn run(
        mut self,
        queued: mpsc::Receiver<QueuedEvent>,
        entity_id: Option<Uuid>,
    ) {
        let _open = OpenGauge::new(&self.app.metrics().sockets);
        let peer = self.peer.clone();
        let serving = async {
            self.greet(entity_id)?;
            self.work(queued).await
        };
        if let Some(Err(reason)) = peer.session.closed.run_until_cancelled(serving).await {
            peer.disconnect(reason);
        }
    }

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

    async fn work(&mut self, mut queued: mpsc::Receiver<QueuedEvent>) -> Result<(), Disconnect> {
        loop {
            // Session events are sent while a message is being stored; the client's next event
            // waits until it is.
            tokio::select! {
                event = self.subscription.next() => self.publish(event)?,
                Some((stored, ack)) = OptionFuture::from(self.sending.as_mut()) => {
                    self.sending = None;
                    self.acknowledge(stored, ack)?;
                }
                event = queued.recv(), if self.sending.is_none() => match event {
                    Some(event) => self.handle(event).await?,
                    None => return Ok(()),
                },
            }
            let is_busy = self.always_busy || !self.subscription.sessions().is_empty();
            self.peer.session.set_busy(is_busy);
        }
    }

    async fn handle(&mut self, event: QueuedEvent) -> Result<(), Disconnect> {
        let ack = event.ack;
        match payload::parse(event.event) {
            Ok(ClientCommand::Join(room)) => self.join(room, ack).await,
            Ok(ClientCommand::Leave(room)) => {
                if let Some(session) = SessionId::parse(&room) {
                    self.subscription.leave(session);
                }
                self.peer.acknowledge(ack, None)
            }
            Ok(ClientCommand::Send(message)) => {
                self.send(*message, ack);
                Ok(())
            }
            Err(reason) => self.refuse(&reason, ack),
        }
    }

    async fn join(&mut self, room: String, ack: Option<u64>) -> Result<(), Disconnect> {
        let joined = self.subscription.sessions();
        let is_new = SessionId::parse(&room).is_none_or(|id| !joined.contains(&id));
        if is_new && joined.len() >= MAX_ROOMS {
            let reason = format!("a socket can be in at most {MAX_ROOMS} rooms");
            return self.refuse(&reason, ack);
        }
        let state = match self.subscribe(room).await {
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

    async fn subscribe(&mut self, room: String) -> Result<SessionState, AppError> {
        let target = self.session_ref(room);
        let session = self.subscription.join(&target).await?;
        self.subscription.state(session.id).await
    }

    fn send(&mut self, command: SendCommand, ack: Option<u64>) {
        let app = Arc::clone(&self.app);
        let request = SendRequest {
            trace: None,
            session: self.session_ref(command.room),
            address: self.client.address,
            message: command.message,
            socket: Some(SendingSocket {
                subscriber: self.subscription.id(),
                sender_id: command.sender_id,
                sender_name: command.sender_name,
            }),
            is_streamed: false,
        };
        self.sending = Some(Box::pin(async move { (app.send(request).await, ack) }));
    }

    fn session_ref(&self, name: String) -> SessionRef {
        SessionRef {
            name,
            scope: Scope::for_user(self.client.principal.user()),
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
        let id = message.sent.session.id;
        let acknowledgement = json!({
            "clientMessageId": message.client_message_id, "messageId": message.sent.message.id,
            "status": "received_by_server_and_processing", "channelId": id, "roomId": id,
        });
        self.peer.answer("messageAck", &acknowledgement, ack)
    }

    fn publish(&self, event: Result<SubscribedEvent, Lagged>) -> Result<(), Disconnect> {
        let event = event.map_err(|Lagged| Disconnect("it lags behind the events of its rooms"))?;
        let (subscriber, event) = (self.subscription.id(), event.event);
        let packet = self.packets.packet(subscriber, &event, || {
            let event = client_events::event(&self.app, subscriber, &event);
            encode(event.name, &event.payload)
        });
        self.peer.send(packet?)
    }

    fn refuse(&self, reason: &str, ack: Option<u64>) -> Result<(), Disconnect> {
        self.peer
            .answer("messageError", &json!({ "error": reason }), ack)
    }
}
