//! A limited number of bytes that many users share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// A part of a budget, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

/// All bytes are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    /// A budget of so many bytes, at most 4 GiB.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// A reservation of nothing, to be resized.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            held: None,
        }
    }

    /// Reserves so many bytes.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        let mut reservation = self.reservation();
        reservation.resize(bytes)?;
        Ok(reservation)
    }
}

impl Reservation {
    /// Holds so many bytes from now on. Where there are not enough, it keeps what it has.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let held = self.bytes();
        if bytes <= held {
            let surplus = self.held.as_mut().and_then(|it| it.split(held - bytes));
            drop(surplus);
            return Ok(());
        }
        let more = u32::try_from(bytes - held).map_err(|_| Exhausted)?;
        let semaphore = Arc::clone(&self.budget.0);
        let more = semaphore
            .try_acquire_many_owned(more)
            .map_err(|_| Exhausted)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_reserved_twice_and_comes_back() {
        let budget = Budget::new(10);
        let mut one = budget.reserve(6).unwrap();
        let mut two = budget.reservation();
        assert_eq!(two.resize(5), Err(Exhausted));
        assert_eq!(two.bytes(), 0);
        two.resize(4).unwrap();
        assert_eq!(one.resize(7), Err(Exhausted));
        assert_eq!(one.bytes(), 6, "it keeps what it has");
        one.resize(1).unwrap();
        two.resize(9).unwrap();
        drop((one, two));
        assert_eq!(budget.reserve(10).unwrap().bytes(), 10);
    }
}
