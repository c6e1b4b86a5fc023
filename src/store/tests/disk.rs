//! A disk in memory that can fail, and that logs its operations.

use std::io;
use std::sync::atomic::AtomicUsize;

use redb::StorageBackend;

use super::*;
use crate::store::file::database::open_backend;
use crate::store::file::database_file::{DatabaseFile, open_view};
use crate::store::file::file_at_path::Displacement;
use crate::store::file::overlay::OverlaySource;
use crate::store::file::panic_guard::guard;

/// Clones share one disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bytes: Mutex<Vec<u8>>,
    fault: Mutex<Option<Fault>>,
    syncs: AtomicUsize,
    /// The next failure, and the number of operations before it.
    once: Mutex<Option<(Failure, usize)>>,
    has_failed: AtomicBool,
    /// The duration of a sync.
    sync_time: Mutex<Duration>,
    /// The free bytes; none for unlimited space.
    room: Mutex<Option<u64>>,
    /// The operations since the log was begun.
    log: Mutex<Option<Vec<Done>>>,
}

/// A permanent fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Writes,
    /// The writes succeed; the commit fails at its end.
    Syncs,
    /// The disk is full: the file cannot grow.
    Growth,
    /// The disk is full, and copies on write: nothing can be written.
    Full,
    Everything,
}

/// The failure of a single operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
    /// A part of the data is written.
    Short,
}

/// An operation on the disk.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

impl Disk {
    /// Returns a disk with these bytes.
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

    /// Fails one write, change of length or sync, after a number of others.
    pub(super) fn fail_once(&self, failure: Failure, after: usize) {
        self.0.has_failed.store(false, Ordering::SeqCst);
        *self.0.once.lock().unwrap() = Some((failure, after));
    }

    pub(super) fn forget_failure(&self) {
        *self.0.once.lock().unwrap() = None;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.0.has_failed.load(Ordering::SeqCst)
    }

    pub(super) fn set_bytes(&self, bytes: Vec<u8>) {
        *self.0.bytes.lock().unwrap() = bytes;
    }

    pub(super) fn set_sync_time(&self, time: Duration) {
        *self.0.sync_time.lock().unwrap() = time;
    }

    /// Returns the failure that is due.
    fn due_failure(&self) -> Option<Failure> {
        let mut once = self.0.once.lock().unwrap();
        let (failure, left) = once.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let failure = *failure;
        *once = None;
        self.0.has_failed.store(true, Ordering::SeqCst);
        Some(failure)
    }

    fn fail_if_due(&self) -> io::Result<()> {
        match self.due_failure() {
            None => Ok(()),
            Some(Failure::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Err(io::Error::other("the disk failed once")),
        }
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

    pub(super) fn file(&self) -> Box<dyn DatabaseFile> {
        Box::new(self.clone())
    }

    fn check(&self, faults: &[Fault]) -> io::Result<()> {
        match *self.0.fault.lock().unwrap() {
            Some(fault @ (Fault::Growth | Fault::Full)) if faults.contains(&fault) => {
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
    /// Applies the operation to other bytes.
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

impl DatabaseFile for Disk {
    fn open(&self) -> Result<Database, OpenError> {
        guard(|| open_backend(self.clone(), CACHE_BYTES))
    }

    fn open_view(&self) -> Result<Database, OpenError> {
        open_view(self.clone(), CACHE_BYTES)
    }

    fn free_bytes(&self) -> Option<u64> {
        *self.0.room.lock().unwrap()
    }

    fn displacement(&self) -> Option<Displacement> {
        None
    }
}

impl OverlaySource for Disk {
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
        self.check(&[Fault::Writes, Fault::Growth, Fault::Full, Fault::Everything])?;
        self.fail_if_due()?;
        let done = Done::SetLen(place(len));
        done.redo(&mut self.0.bytes.lock().unwrap());
        self.note(done);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(&[Fault::Syncs, Fault::Everything])?;
        self.fail_if_due()?;
        let time = *self.0.sync_time.lock().unwrap();
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        self.note(Done::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(&[Fault::Writes, Fault::Full, Fault::Everything])?;
        let (written, failed) = match self.due_failure() {
            None => (data, None),
            Some(Failure::Full) => (&data[..0], Some(io::ErrorKind::StorageFull.into())),
            Some(Failure::Io) => (&data[..0], Some(io::Error::other("the disk failed once"))),
            Some(Failure::Short) => (
                &data[..data.len() / 2],
                Some(io::ErrorKind::WriteZero.into()),
            ),
        };
        let done = Done::Write(place(offset), written.to_vec());
        done.redo(&mut self.0.bytes.lock().unwrap());
        self.note(done);
        failed.map_or(Ok(()), Err)
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}
