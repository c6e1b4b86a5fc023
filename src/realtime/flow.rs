//! How much a socket may send and be sent: bounds in bytes.

use std::sync::{Mutex, PoisonError};

use crate::connections::budget::{Budget, Exhausted, Reservation};

/// The most bytes that may wait for a client.
const MAX_WAITING: usize = 1024 * 1024;

/// How many bytes of a message that has not arrived in full each socket may take for itself.
const OWN_PARTIAL: usize = 64 * 1024;

/// How many bytes of messages that have not arrived in full all sockets may take beyond that.
const SHARED_PARTIAL: usize = 64 * 1024 * 1024;

/// How many bytes of events may wait to be carried out, over all sockets.
const SHARED_EVENTS: usize = 64 * 1024 * 1024;

/// How many bytes may wait for each client whatever waits for others.
const OWN_WAITING: usize = 256 * 1024;

/// How many bytes may wait for all clients beyond that.
const SHARED_WAITING: usize = 128 * 1024 * 1024;

/// What is on its way to one client.
#[derive(Debug)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    beyond: Reservation,
}

/// What all sockets share.
#[derive(Debug)]
pub(super) struct Shared {
    waiting: Budget,
    partial: Budget,
    events: Budget,
}

/// What is on its way from one client.
#[derive(Debug)]
pub(super) struct Incoming {
    max_message: usize,
    partial: Mutex<Partial>,
}

/// A message that has not arrived in full.
#[derive(Debug)]
struct Partial {
    arrived: usize,
    reservation: Reservation,
}

impl Outbox {
    /// Counts bytes that are about to be sent. A client that has not taken what was sent before
    /// gets no more.
    ///
    /// # Errors
    /// Too many wait for it, or for all clients.
    pub(super) fn send(&self, bytes: usize) -> Result<(), Exhausted> {
        self.with(|waiting| {
            let sum = waiting.bytes.saturating_add(bytes);
            if sum > MAX_WAITING {
                return Err(Exhausted);
            }
            waiting.beyond.resize(sum.saturating_sub(OWN_WAITING))?;
            waiting.bytes = sum;
            Ok(())
        })
    }

    /// Counts bytes that were handed to the client's connection.
    pub(super) fn sent(&self, bytes: usize) {
        self.with(|waiting| {
            waiting.bytes = waiting.bytes.saturating_sub(bytes);
            // To hold less always succeeds.
            let _ = waiting
                .beyond
                .resize(waiting.bytes.saturating_sub(OWN_WAITING));
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        // No code panics with the lock held.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            waiting: Budget::new(SHARED_WAITING),
            partial: Budget::new(SHARED_PARTIAL),
            events: Budget::new(SHARED_EVENTS),
        }
    }

    /// Counts an event that waits to be carried out.
    ///
    /// # Errors
    /// Too many bytes of them wait already.
    pub(super) fn event(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        self.events.reserve(bytes)
    }

    /// The outgoing side of a new socket.
    pub(super) fn outbox(&self) -> Outbox {
        Outbox(Mutex::new(Waiting {
            bytes: 0,
            beyond: self.waiting.reservation(),
        }))
    }

    /// The incoming side of a new socket, whose messages have at most so many bytes.
    pub(super) fn incoming(&self, max_message: usize) -> Incoming {
        Incoming {
            max_message,
            partial: Mutex::new(Partial {
                arrived: 0,
                reservation: self.partial.reservation(),
            }),
        }
    }
}

impl Incoming {
    /// Counts bytes of a message that has not arrived in full.
    ///
    /// # Errors
    /// It is too much for a socket that `is_accepted` or not.
    pub(super) fn arrived(&self, bytes: usize, is_accepted: bool) -> Result<(), Exhausted> {
        self.with(|partial| {
            // A longer one is refused where its length is read.
            partial.arrived = (partial.arrived + bytes).min(self.max_message);
            let beyond = partial.arrived.saturating_sub(OWN_PARTIAL);
            if beyond > 0 && !is_accepted {
                return Err(Exhausted);
            }
            partial.reservation.resize(beyond)
        })
    }

    /// Notes that a message has arrived in full.
    pub(super) fn complete(&self) {
        self.with(|partial| {
            partial.arrived = 0;
            // To hold less always succeeds.
            let _ = partial.reservation.resize(0);
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Partial) -> T) -> T {
        // No code panics with the lock held.
        work(&mut self.partial.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_MESSAGE: usize = 1024 * 1024;

    #[test]
    fn no_more_than_a_mebibyte_waits_for_a_client() {
        let outbox = Shared::new().outbox();
        assert!(outbox.send(MAX_WAITING - 1).is_ok());
        assert!(outbox.send(2).is_err());
        assert!(outbox.send(1).is_ok());
        outbox.sent(10);
        assert!(outbox.send(11).is_err());
        assert!(outbox.send(10).is_ok());
        outbox.sent(usize::MAX);
        assert!(outbox.send(MAX_WAITING).is_ok());
    }

    #[test]
    fn what_waits_for_all_clients_is_bounded_and_each_has_its_own() {
        let shared = Shared::new();
        let slow: Vec<_> = (0..200).map(|_| shared.outbox()).collect();
        let full = slow.iter().filter(|it| it.send(MAX_WAITING).is_ok());
        assert_eq!(full.count(), SHARED_WAITING / (MAX_WAITING - OWN_WAITING));
        let other = shared.outbox();
        assert!(other.send(OWN_WAITING).is_ok());
        slow[0].sent(OWN_WAITING);
        assert!(other.send(OWN_WAITING).is_ok());
        drop(slow);
        assert!(other.send(MAX_WAITING - 2 * OWN_WAITING).is_ok());
    }

    #[test]
    fn messages_that_do_not_end_take_bounded_memory() {
        let shared = Shared::new();
        let sockets: Vec<_> = (0..100).map(|_| shared.incoming(MAX_MESSAGE)).collect();
        let fit = sockets
            .iter()
            .filter(|it| it.arrived(MAX_MESSAGE, true).is_ok());
        assert_eq!(fit.count(), SHARED_PARTIAL / (MAX_MESSAGE - OWN_PARTIAL));
        let one = shared.incoming(MAX_MESSAGE);
        assert!(one.arrived(OWN_PARTIAL, true).is_ok(), "each has its own");
        sockets[0].complete();
        assert!(one.arrived(MAX_MESSAGE, true).is_ok());
    }

    #[test]
    fn who_is_not_accepted_sends_no_more_than_it_needs_for_that() {
        let incoming = Shared::new().incoming(MAX_MESSAGE);
        assert!(incoming.arrived(OWN_PARTIAL, false).is_ok());
        assert!(incoming.arrived(1, false).is_err());
        incoming.complete();
        assert!(incoming.arrived(1, false).is_ok());
    }
}
