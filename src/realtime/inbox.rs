//! What a socket's client has sent, in its order.
//!
//! socketioxide runs each event's handler in a task of its own, in which two messages of one
//! socket could overtake each other. So the handler here only puts the event into a queue, before
//! any task is begun, and the socket's own task takes it from there.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::{FromMessageParts as _, MessageHandler};
use socketioxide::socket::Socket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::payload::{Wish, wish};
use crate::guard::Visitor;

/// How many events may wait for a socket's task.
const MAX_QUEUED: usize = 256;

/// The events that clients send.
const EVENTS: [&str; 5] = ["join", "leave", "message", "1", "2"];

/// A wish of the client, or why what it sent is none.
pub(super) type Sent = Result<Wish, &'static str>;

/// A socket's queue, to be taken by its task.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    sent: Arc<Mutex<Option<mpsc::Receiver<Sent>>>>,
    /// Who connected, and from where.
    pub(super) visitor: Visitor,
    /// Whom they call themselves, if they said so.
    pub(super) entity_id: Option<Uuid>,
    /// Cancelled when the socket is no more.
    pub(super) closed: CancellationToken,
    /// Cancelled when more has come than can wait: something that the client sent is lost.
    pub(super) overrun: CancellationToken,
}

impl Inbox {
    /// Listens to a socket that is about to be connected.
    pub(super) fn open(socket: &SocketRef, visitor: Visitor, entity_id: Option<Uuid>) -> Self {
        let (queue, sent) = mpsc::channel(MAX_QUEUED);
        let overrun = CancellationToken::new();
        for event in EVENTS {
            socket.on(
                event,
                InOrder {
                    event,
                    queue: queue.clone(),
                    overrun: overrun.clone(),
                },
            );
        }
        let closed = CancellationToken::new();
        let token = closed.clone();
        socket.on_disconnect(move || async move { token.cancel() });
        Self {
            sent: Arc::new(Mutex::new(Some(sent))),
            visitor,
            entity_id,
            closed,
            overrun,
        }
    }

    /// The queue, for the one task that works it off.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Sent>> {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Puts an event into the queue at once.
struct InOrder {
    event: &'static str,
    queue: mpsc::Sender<Sent>,
    overrun: CancellationToken,
}

impl MessageHandler<LocalAdapter, InOrder> for InOrder {
    fn call(
        &self,
        socket: Arc<Socket<LocalAdapter>>,
        mut data: socketioxide_core::Value,
        ack_id: Option<i64>,
    ) {
        let read = TryData::<Value>::from_message_parts(&socket, &mut data, &ack_id);
        // What cannot be read is treated as null, which every event refuses.
        let data = match read {
            Ok(TryData(Ok(data))) => data,
            Ok(TryData(Err(_))) | Err(_) => Value::Null,
        };
        if self.queue.try_send(wish(self.event, &data)).is_err() {
            self.overrun.cancel();
        }
    }
}
