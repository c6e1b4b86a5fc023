//! A disk in memory that can fail, and that remembers what was done to it.

use std::io;
use std::sync::atomic::AtomicUsize;

use redb::StorageBackend;

use super::super::medium::{Medium, look_into};
use super::super::open::database_error;
use super::super::peek::Source;
use super::*;

/// Shared by all who hold it, as a real disk is.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Mutex<Vec<u8>>,
    fault: Mutex<Option<Fault>>,
    syncs: AtomicUsize,
    /// How many bytes are free; none for as many as one likes.
    room: Mutex<Option<u64>>,
    /// What was done since the log was begun.
    log: Mutex<Option<Vec<Done>>>,
}

/// What does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Writes,
    /// The writes themselves do not fail: the commit does, at its end.
    Syncs,
    /// The disk is full.
    Growth,
    Everything,
}

/// Something done to the disk.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

impl Disk {
    /// A disk with these bytes on it.
    pub(super) fn with_bytes(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        *disk.0.bytes.lock().unwrap() = bytes;
        disk
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.bytes.lock().unwrap().clone()
    }

    pub(super) fn fail(&self, fault: Option<Fault>) {
        *self.0.fault.lock().unwrap() = fault;
    }

    pub(super) fn syncs(&self) -> usize {
        self.0.syncs.load(Ordering::SeqCst)
    }

    pub(super) fn begin_log(&self) {
        *self.0.log.lock().unwrap() = Some(Vec::new());
    }

    pub(super) fn log(&self) -> Vec<Done> {
        self.0.log.lock().unwrap().clone().unwrap_or_default()
    }

    pub(super) fn set_room(&self, room: Option<u64>) {
        *self.0.room.lock().unwrap() = room;
    }

    pub(super) fn medium(&self) -> Box<dyn Medium> {
        Box::new(self.clone())
    }

    fn check(&self, faults: &[Fault]) -> io::Result<()> {
        match *self.0.fault.lock().unwrap() {
            Some(Fault::Growth) if faults.contains(&Fault::Growth) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(fault) if faults.contains(&fault) => Err(io::Error::other("the disk failed")),
            _ => Ok(()),
        }
    }

    fn note(&self, done: Done) {
        if let Some(log) = self.0.log.lock().unwrap().as_mut() {
            log.push(done);
        }
    }
}

impl Done {
    /// Does the same to other bytes.
    pub(super) fn redo(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => bytes[*at..at + data.len()].copy_from_slice(data),
            Self::SetLen(length) => bytes.resize(*length, 0),
            Self::Sync => {}
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Medium for Disk {
    fn open(&self) -> Result<Database, OpenError> {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(self.clone())
            .map_err(database_error)
    }

    fn look(&self) -> Result<Database, OpenError> {
        look_into(self.clone(), CACHE_BYTES)
    }

    fn room(&self) -> Option<u64> {
        *self.0.room.lock().unwrap()
    }
}

impl Source for Disk {
    fn length(&self) -> io::Result<u64> {
        StorageBackend::len(self)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read(offset, out)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.check(&[Fault::Everything])?;
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.check(&[Fault::Everything])?;
        let at = place(offset);
        let bytes = self.0.bytes.lock().unwrap();
        let read = bytes.get(at..at + out.len());
        out.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(&[Fault::Writes, Fault::Growth, Fault::Everything])?;
        let done = Done::SetLen(place(len));
        done.redo(&mut self.0.bytes.lock().unwrap());
        self.note(done);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(&[Fault::Syncs, Fault::Everything])?;
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        self.note(Done::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(&[Fault::Writes, Fault::Everything])?;
        let done = Done::Write(place(offset), data.to_vec());
        done.redo(&mut self.0.bytes.lock().unwrap());
        self.note(done);
        Ok(())
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}
