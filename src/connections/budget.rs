//! A shared memory budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes. Clones share the same budget.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// Reserved bytes. They are released on drop.
#[derive(Debug)]
pub(crate) struct ReservedBytes {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    /// Returns a budget of `bytes`, at most 4 GiB.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    pub(crate) fn reservation(&self) -> ReservedBytes {
        ReservedBytes {
            budget: self.clone(),
            held: None,
        }
    }

    pub(crate) fn reserve(&self, bytes: usize) -> Result<ReservedBytes, Exhausted> {
        let mut reservation = self.reservation();
        reservation.resize(bytes)?;
        Ok(reservation)
    }
}

impl ReservedBytes {
    /// Changes the reservation to `bytes`. On an error it stays as it is.
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
    fn bytes_are_reserved_once_and_released_on_drop() {
        let budget = Budget::new(10);
        let mut one = budget.reserve(6).unwrap();
        let mut two = budget.reservation();
        assert_eq!(two.resize(5), Err(Exhausted));
        assert_eq!(two.bytes(), 0);
        two.resize(4).unwrap();
        assert_eq!(one.resize(7), Err(Exhausted));
        assert_eq!(one.bytes(), 6, "it stays as it is");
        one.resize(1).unwrap();
        two.resize(9).unwrap();
        drop((one, two));
        assert_eq!(budget.reserve(10).unwrap().bytes(), 10);
    }
}
