//! Limits, in bytes, of what sockets send and are sent.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::connections::budget::{Budget, Exhausted, ReservedBytes};

/// The largest message of a client, and the largest poll, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// The most bytes that may wait for a client.
const MAX_WAITING: usize = 1024 * 1024;

/// How many bytes may wait for each client, whatever waits for others.
const OWN_WAITING: usize = 256 * 1024;

/// How many bytes may wait for all clients beyond that.
const SHARED_WAITING: usize = 128 * 1024 * 1024;

/// How many bytes of an incomplete message each socket may hold, whatever others hold.
const OWN_PARTIAL: usize = 64 * 1024;

/// How many bytes of incomplete messages all sockets may hold beyond that.
const SHARED_PARTIAL: usize = 64 * 1024 * 1024;

/// How many bytes of events of all sockets may wait to be handled.
const SHARED_EVENTS: usize = 64 * 1024 * 1024;

/// The budgets that all sockets share.
#[derive(Debug)]
pub(super) struct Budgets {
    waiting: Budget,
    partial: Budget,
    pub(super) events: Budget,
}

/// The bytes that wait for one client.
#[derive(Debug)]
pub(super) struct Outbox(Mutex<Usage>);

/// The bytes of an incomplete message of one client.
#[derive(Debug)]
pub(super) struct Inbox(Mutex<Usage>);

/// Bytes of one client, those beyond its own share reserved from a shared budget.
#[derive(Debug)]
struct Usage {
    bytes: usize,
    own: usize,
    shared: ReservedBytes,
}

impl Budgets {
    pub(super) fn new() -> Self {
        Self {
            waiting: Budget::new(SHARED_WAITING),
            partial: Budget::new(SHARED_PARTIAL),
            events: Budget::new(SHARED_EVENTS),
        }
    }

    /// Returns the outbox of a new socket.
    pub(super) fn outbox(&self) -> Outbox {
        Outbox(Usage::new(OWN_WAITING, &self.waiting))
    }

    /// Returns the inbox of a new socket.
    pub(super) fn inbox(&self) -> Inbox {
        Inbox(Usage::new(OWN_PARTIAL, &self.partial))
    }
}

impl Usage {
    fn new(own: usize, budget: &Budget) -> Mutex<Self> {
        Mutex::new(Self {
            bytes: 0,
            own,
            shared: budget.reservation(),
        })
    }

    /// Sets the number of bytes. Lowering it always succeeds.
    fn set(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.shared.resize(bytes.saturating_sub(self.own))?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Outbox {
    /// Counts bytes that are about to be sent.
    ///
    /// # Errors
    /// Too many bytes wait for this client, or for all clients.
    pub(super) fn send(&self, bytes: usize) -> Result<(), Exhausted> {
        let mut waiting = lock(&self.0);
        let sum = waiting.bytes.saturating_add(bytes);
        if sum > MAX_WAITING {
            return Err(Exhausted);
        }
        waiting.set(sum)
    }

    /// Counts bytes that were written to the client's connection.
    pub(super) fn sent(&self, bytes: usize) {
        let mut waiting = lock(&self.0);
        let left = waiting.bytes.saturating_sub(bytes);
        let _ = waiting.set(left);
    }
}

impl Inbox {
    /// Counts bytes of an incomplete message.
    ///
    /// # Errors
    /// They are too many: for all sockets, or for one that is not `accepted` yet.
    pub(super) fn receive(&self, bytes: usize, accepted: bool) -> Result<(), Exhausted> {
        let mut partial = lock(&self.0);
        // A longer message is refused when its length is read.
        let sum = (partial.bytes + bytes).min(MAX_MESSAGE);
        if sum > OWN_PARTIAL && !accepted {
            return Err(Exhausted);
        }
        partial.set(sum)
    }

    /// Records that the message is complete.
    pub(super) fn complete(&self) {
        let _ = lock(&self.0).set(0);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of this module panics with a lock held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_a_mebibyte_waits_for_a_client() {
        let outbox = Budgets::new().outbox();
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
    fn waiting_bytes_are_bounded_and_each_client_has_an_own_share() {
        let budgets = Budgets::new();
        let slow: Vec<_> = (0..200).map(|_| budgets.outbox()).collect();
        let full = slow.iter().filter(|it| it.send(MAX_WAITING).is_ok());
        assert_eq!(full.count(), SHARED_WAITING / (MAX_WAITING - OWN_WAITING));
        let other = budgets.outbox();
        assert!(other.send(OWN_WAITING).is_ok());
        slow[0].sent(OWN_WAITING);
        assert!(other.send(OWN_WAITING).is_ok());
        drop(slow);
        assert!(other.send(MAX_WAITING - 2 * OWN_WAITING).is_ok());
    }

    #[test]
    fn incomplete_messages_take_bounded_memory() {
        let budgets = Budgets::new();
        let sockets: Vec<_> = (0..100).map(|_| budgets.inbox()).collect();
        let fit = sockets
            .iter()
            .filter(|it| it.receive(MAX_MESSAGE, true).is_ok());
        assert_eq!(fit.count(), SHARED_PARTIAL / (MAX_MESSAGE - OWN_PARTIAL));
        let one = budgets.inbox();
        assert!(
            one.receive(OWN_PARTIAL, true).is_ok(),
            "each has its own share"
        );
        sockets[0].complete();
        assert!(one.receive(MAX_MESSAGE, true).is_ok());
    }

    #[test]
    fn a_socket_sends_little_before_it_is_accepted() {
        let inbox = Budgets::new().inbox();
        assert!(inbox.receive(OWN_PARTIAL, false).is_ok());
        assert!(inbox.receive(1, false).is_err());
        inbox.complete();
        assert!(inbox.receive(1, false).is_ok());
    }
}
