//! Encodes each event once for all sockets that receive it, so that a waiting event takes memory
//! only once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use engineioxide::Str;

use super::budgets::lock;
use crate::events::{Event, SessionEvent, SubscriberId};

/// How many events are cached. The sockets of a session receive an event at about the same time.
const MAX_CACHED: usize = 32;

/// The packets of the latest events.
#[derive(Debug, Default)]
pub(super) struct PacketCache(Mutex<VecDeque<(Weak<SessionEvent>, Str)>>);

impl PacketCache {
    /// Returns the packet of an event, encoded by `encode` if it is not cached. A message's packet
    /// for the socket that sent it has the client's own id in it, and is not shared.
    pub(super) fn packet<E>(
        &self,
        subscriber: SubscriberId,
        event: &Arc<SessionEvent>,
        encode: impl FnOnce() -> Result<String, E>,
    ) -> Result<Str, E> {
        if is_own(subscriber, &event.event) {
            return encode().map(Str::from);
        }
        let cached = |(it, packet): &(Weak<_>, Str)| {
            (it.as_ptr() == Arc::as_ptr(event)).then(|| packet.clone())
        };
        if let Some(packet) = lock(&self.0).iter().rev().find_map(cached) {
            return Ok(packet);
        }
        let packet = Str::from(encode()?);
        let mut packets = lock(&self.0);
        packets.retain(|(event, _)| event.strong_count() > 0);
        if packets.len() >= MAX_CACHED {
            packets.pop_front();
        }
        packets.push_back((Arc::downgrade(event), packet.clone()));
        Ok(packet)
    }
}

fn is_own(subscriber: SubscriberId, event: &Event) -> bool {
    match event {
        Event::MessageStored {
            sent_by: Some(sent_by),
            ..
        } => sent_by.subscriber == subscriber,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::domain::id::SessionId;
    use crate::events::EventBus;

    fn event() -> Arc<SessionEvent> {
        Arc::new(SessionEvent::new(SessionId::from(1), Event::Busy))
    }

    #[test]
    fn an_event_is_encoded_once_for_all_subscribers() {
        let cache = PacketCache::default();
        let bus = EventBus::default();
        let [one, two] = [bus.subscriber().id(), bus.subscriber().id()];
        let first = event();
        let encode = |text: &str| Ok::<_, Infallible>(text.to_owned());
        let packet = cache.packet(one, &first, || encode("a")).unwrap();
        let again = cache.packet(two, &first, || encode("b")).unwrap();
        assert_eq!(again.as_str(), "a");
        assert_eq!(again.as_ptr(), packet.as_ptr(), "the memory is shared");
        let second = event();
        let other = cache.packet(one, &second, || encode("c")).unwrap();
        assert_eq!(other.as_str(), "c");
    }

    #[test]
    fn events_that_were_received_leave_the_cache() {
        let cache = PacketCache::default();
        let subscriber = EventBus::default().subscriber().id();
        let held: Vec<_> = (0..MAX_CACHED * 2).map(|_| event()).collect();
        for event in &held {
            let written = cache.packet(subscriber, event, || Ok::<_, Infallible>(String::new()));
            assert!(written.is_ok());
        }
        assert_eq!(lock(&cache.0).len(), MAX_CACHED);
        drop(held);
        let last = event();
        let written = cache.packet(subscriber, &last, || Ok::<_, Infallible>(String::new()));
        assert!(written.is_ok());
        assert_eq!(lock(&cache.0).len(), 1);
    }
}
