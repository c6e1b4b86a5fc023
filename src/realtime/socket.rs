//! One socket: its wishes one after the other, and what happens in its rooms.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use socketioxide::extract::SocketRef;
use uuid::Uuid;

use super::inbox::{Inbox, Sent};
use super::payload::{Message, Wish};
use crate::app::error::AppError;
use crate::app::{App, Followed, Follower, Scope, SendRequest, SendingSocket, SentMessage, Target};
use crate::domain::id::SessionId;
use crate::events::Lagged;
use crate::guard::Visitor;
use crate::metrics::Open;
use crate::wire;

/// The most rooms of a socket.
const MAX_ROOMS: usize = 256;

/// The message that is being stored for a socket.
type Sending = Pin<Box<dyn Future<Output = Result<SentMessage, AppError>> + Send>>;

/// How long to wait until a socket that has no room for its own end is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The client cannot keep up, sends too much, or is gone.
#[derive(Debug)]
struct GivenUp(String);

/// Speaks for a connected socket until it is no more.
pub(super) async fn run(app: Arc<App>, socket: SocketRef, inbox: Inbox) {
    let _open = Open::new(&app.metrics().sockets);
    let session = async {
        let mut task = Task {
            follower: Follower::new(&app),
            app,
            socket: socket.clone(),
            visitor: inbox.visitor,
            sending: None,
        };
        task.greet(inbox.entity_id)?;
        task.work(&inbox).await
    };
    let ended = tokio::select! {
        () = inbox.closed.cancelled() => return,
        () = inbox.overrun.cancelled() => Err(GivenUp("it sends faster than it can be answered".into())),
        ended = session => ended,
    };
    if let Err(GivenUp(reason)) = ended {
        tracing::info!(socket = %socket.id, reason, "a socket is disconnected");
        inbox.closed.run_until_cancelled(hang_up(&socket)).await;
    }
}

/// Disconnects a socket, so that its client knows that it misses something. Where too much waits
/// for the client already, it is told as soon as it has read some of that.
async fn hang_up(socket: &SocketRef) {
    while socket.clone().disconnect().is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}

struct Task {
    app: Arc<App>,
    socket: SocketRef,
    visitor: Visitor,
    follower: Follower,
    sending: Option<Sending>,
}

impl Task {
    fn greet(&self, entity_id: Option<Uuid>) -> Result<(), GivenUp> {
        let greeting = json!({ "message": "Connected to sessiond", "socketId": self.socket.id });
        self.emit("connection_established", &greeting)?;
        if let Some(entity_id) = entity_id {
            let now = self.app.now();
            self.emit(
                "authenticated",
                &json!({ "entityId": entity_id, "timestamp": now }),
            )?;
        }
        Ok(())
    }

    async fn work(&mut self, inbox: &Inbox) -> Result<(), GivenUp> {
        let Some(mut sent) = inbox.take() else {
            return Ok(());
        };
        loop {
            // What happens in the rooms goes on while a message is being stored; the next wish
            // waits for it.
            tokio::select! {
                followed = self.follower.next() => self.tell(followed)?,
                stored = in_flight(&mut self.sending) => {
                    self.sending = None;
                    self.acknowledge(stored)?;
                }
                wish = sent.recv(), if self.sending.is_none() => match wish {
                    Some(wish) => self.grant(wish)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn grant(&mut self, wish: Sent) -> Result<(), GivenUp> {
        match wish {
            Ok(Wish::Join { room }) => self.join(&room),
            Ok(Wish::Leave { room }) => {
                if let Some(session) = SessionId::parse(&room) {
                    self.follower.leave(session);
                }
                Ok(())
            }
            Ok(Wish::Say(message)) => {
                self.send(*message);
                Ok(())
            }
            Err(reason) => self.refuse(reason),
        }
    }

    fn join(&mut self, room: &str) -> Result<(), GivenUp> {
        let is_new = SessionId::parse(room).is_none_or(|id| !self.follower.follows(id));
        if is_new && self.follower.session_count() >= MAX_ROOMS {
            return self.refuse(&format!("a socket can be in at most {MAX_ROOMS} rooms"));
        }
        let joined = self.follower.join(&self.target(room.to_owned()));
        let state = match joined.and_then(|session| self.follower.state(session.id)) {
            Ok(state) => state,
            Err(error) => return self.refuse(&error.to_string()),
        };
        let id = state.session.id;
        let mut joined = json!({
            "message": "Joined the room", "channelId": id, "roomId": id, "sessionId": id,
        });
        let state = wire::state(&state, self.app.now()).payload;
        if let (Some(joined), Value::Object(state)) = (joined.as_object_mut(), state) {
            joined.extend(state);
        }
        self.emit("channel_joined", &joined)?;
        self.emit("room_joined", &joined)
    }

    fn send(&mut self, message: Message) {
        let app = Arc::clone(&self.app);
        let request = SendRequest {
            session: self.target(message.room),
            address: self.visitor.address,
            fields: message.fields,
            key: None,
            socket: Some(SendingSocket {
                listener: self.follower.id(),
                sender_id: message.sender_id,
                sender_name: message.sender_name,
            }),
        };
        self.sending = Some(Box::pin(async move { app.send(request).await }));
    }

    /// A session as this socket's client names and meets it.
    fn target(&self, name: String) -> Target {
        Target {
            name,
            scope: Scope::of(self.visitor.caller.user()),
        }
    }

    fn acknowledge(&self, stored: Result<SentMessage, AppError>) -> Result<(), GivenUp> {
        let message = match stored {
            Ok(message) => message,
            Err(error) => return self.refuse(&error.to_string()),
        };
        let id = message.session_id();
        let acknowledgement = json!({
            "clientMessageId": message.client_message_id, "messageId": message.sent.message.id,
            "status": "received_by_server_and_processing", "channelId": id, "roomId": id,
        });
        self.emit("messageAck", &acknowledgement)
    }

    fn tell(&self, followed: Result<Followed, Lagged>) -> Result<(), GivenUp> {
        let followed = followed
            .map_err(|Lagged| GivenUp("it lags behind what happens in its rooms".into()))?;
        let event = wire::event(&self.app, self.follower.id(), &followed.happening);
        self.emit(event.name, &event.payload)
    }

    fn refuse(&self, reason: &str) -> Result<(), GivenUp> {
        self.emit("messageError", &json!({ "error": reason }))
    }

    /// Sends an event. A client that cannot take it is disconnected, since it would miss it
    /// without knowing.
    fn emit<T: Serialize>(&self, name: &str, payload: &T) -> Result<(), GivenUp> {
        self.socket
            .emit(name, payload)
            .map_err(|error| GivenUp(error.to_string()))
    }
}

/// Waits for the message that is being stored, for ever where there is none.
async fn in_flight(sending: &mut Option<Sending>) -> Result<SentMessage, AppError> {
    match sending {
        Some(sending) => sending.await,
        None => pending().await,
    }
}
