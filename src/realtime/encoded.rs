//! Events as packets, written once for all sockets that hear them: what waits for a room of sockets
//! takes the memory of one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use engineioxide::Str;

use crate::events::{Event, ListenerId, SessionEvent};

/// How many of the last events are remembered. The sockets of a room take an event at about the
/// same time.
const MAX_REMEMBERED: usize = 32;

/// The packets of the last events.
#[derive(Debug, Default)]
pub(super) struct Encoded(Mutex<VecDeque<(Weak<SessionEvent>, Str)>>);

impl Encoded {
    /// The packet of an event, written by `write` where it is not remembered. Nobody but the
    /// listener that sent a message is told what it called it, so that is written for it alone.
    pub(super) fn packet<E>(
        &self,
        listener: ListenerId,
        happening: &Arc<SessionEvent>,
        write: impl FnOnce() -> Result<String, E>,
    ) -> Result<Str, E> {
        if is_own(listener, &happening.event) {
            return write().map(Str::from);
        }
        if let Some(packet) = self.find(happening) {
            return Ok(packet);
        }
        let packet = Str::from(write()?);
        self.with(|remembered| {
            // Nobody asks for those that nobody holds any more.
            remembered.retain(|(happening, _)| happening.strong_count() > 0);
            if remembered.len() >= MAX_REMEMBERED {
                remembered.pop_front();
            }
            remembered.push_back((Arc::downgrade(happening), packet.clone()));
        });
        Ok(packet)
    }

    fn find(&self, happening: &Arc<SessionEvent>) -> Option<Str> {
        self.with(|remembered| {
            let mut found = remembered.iter().rev();
            let (_, packet) = found.find(|(it, _)| it.as_ptr() == Arc::as_ptr(happening))?;
            Some(packet.clone())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<(Weak<SessionEvent>, Str)>) -> T) -> T {
        // No code panics with the lock held.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_own(listener: ListenerId, event: &Event) -> bool {
    match event {
        Event::MessageStored { echo, .. } => {
            echo.as_ref().is_some_and(|echo| echo.listener == listener)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::domain::id::SessionId;
    use crate::events::EventBus;

    fn happening() -> Arc<SessionEvent> {
        Arc::new(SessionEvent::new(SessionId::from(1), Event::Busy))
    }

    #[test]
    fn an_event_is_written_once_for_all_who_hear_it() {
        let encoded = Encoded::default();
        let bus = EventBus::default();
        let [one, two] = [bus.listener().id(), bus.listener().id()];
        let first = happening();
        let write = |text: &str| Ok::<_, Infallible>(text.to_owned());
        let packet = encoded.packet(one, &first, || write("a")).unwrap();
        let again = encoded.packet(two, &first, || write("b")).unwrap();
        assert_eq!(again.as_str(), "a");
        assert_eq!(again.as_ptr(), packet.as_ptr(), "it is the same memory");
        let second = happening();
        let other = encoded.packet(one, &second, || write("c")).unwrap();
        assert_eq!(other.as_str(), "c");
    }

    #[test]
    fn what_nobody_hears_any_more_is_forgotten() {
        let encoded = Encoded::default();
        let listener = EventBus::default().listener().id();
        let held: Vec<_> = (0..MAX_REMEMBERED * 2).map(|_| happening()).collect();
        for happening in &held {
            let written =
                encoded.packet(listener, happening, || Ok::<_, Infallible>(String::new()));
            assert!(written.is_ok());
        }
        assert_eq!(encoded.with(|it| it.len()), MAX_REMEMBERED);
        drop(held);
        let last = happening();
        let written = encoded.packet(listener, &last, || Ok::<_, Infallible>(String::new()));
        assert!(written.is_ok());
        assert_eq!(encoded.with(|it| it.len()), 1);
    }
}
