//! A copy-on-write view of a file.
//!
//! redb recovers an uncleanly closed file when it opens it, and writes to every file that it opens.
//! That is too much for a file that may then be refused, or whose disk is suspect. In this view
//! redb's writes stay in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const BLOCK: usize = 4096;

/// The storage below the view.
pub(crate) trait OverlaySource: std::fmt::Debug + Send + 'static {
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from an offset on.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

impl OverlaySource for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }
}

/// A file with writes that are only in memory.
#[derive(Debug)]
pub(crate) struct CopyOnWriteOverlay(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    source: Box<dyn OverlaySource>,
    /// How much of the source is visible, in bytes.
    source_length: u64,
    length: u64,
    written: HashMap<u64, Box<[u8; BLOCK]>>,
}

impl CopyOnWriteOverlay {
    pub(crate) fn new(source: impl OverlaySource) -> io::Result<Self> {
        let length = source.length()?;
        Ok(Self(Mutex::new(Inner {
            source: Box::new(source),
            source_length: length,
            length,
            written: HashMap::new(),
        })))
    }

    /// Returns a view of a file whose writer is paused and will continue. The header, the only part
    /// that is overwritten in place, stays as it is now.
    pub(crate) fn with_current_header(source: impl OverlaySource) -> io::Result<Self> {
        let mut header = Box::new([0; BLOCK]);
        source.read_at(0, header.as_mut_slice())?;
        let overlay = Self::new(source)?;
        overlay.inner().written.insert(0, header);
        Ok(overlay)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for CopyOnWriteOverlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inner().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.inner();
        let is_unchanged = offset + out.len() as u64 <= inner.source_length
            && parts(offset, out.len()).all(|(block, ..)| !inner.written.contains_key(&block));
        if is_unchanged {
            return inner.source.read_at(offset, out);
        }
        for (block, within, part) in parts(offset, out.len()) {
            let bytes = inner.block(block)?;
            out[part].copy_from_slice(&bytes[within]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.inner();
        if length < inner.length {
            // The truncated part reads as zeros if the file grows again.
            inner.source_length = inner.source_length.min(length);
            for (block, bytes) in &mut inner.written {
                let retained = length.saturating_sub(block * BLOCK as u64);
                bytes[usize::try_from(retained).unwrap_or(BLOCK).min(BLOCK)..].fill(0);
            }
        }
        inner.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.inner();
        for (block, within, part) in parts(offset, data.len()) {
            let mut bytes = inner.block(block)?;
            bytes[within].copy_from_slice(&data[part]);
            inner.written.insert(block, bytes);
        }
        Ok(())
    }
}

impl Inner {
    fn block(&self, block: u64) -> io::Result<Box<[u8; BLOCK]>> {
        if let Some(bytes) = self.written.get(&block) {
            return Ok(bytes.clone());
        }
        let mut bytes = Box::new([0; BLOCK]);
        let start = block * BLOCK as u64;
        let left = self.source_length.saturating_sub(start);
        let left = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        self.source.read_at(start, &mut bytes[..left])?;
        Ok(bytes)
    }
}

/// Returns the blocks of a range, each with the parts that it covers of the block and of the range.
fn parts(
    offset: u64,
    length: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        // A remainder below the block size fits.
        let start = usize::try_from(at % BLOCK as u64).unwrap_or(0);
        let size = (BLOCK - start).min(length - done);
        let part = done..done + size;
        done += size;
        (size > 0).then_some((at / BLOCK as u64, start..start + size, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_can_be_read_and_leave_the_file_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let overlay = CopyOnWriteOverlay::new(File::open(&path).unwrap()).unwrap();
        let mut expected = bytes.clone();

        overlay.write(4_000, &[7; 5_000]).unwrap();
        expected[4_000..9_000].fill(7);
        overlay.set_len(8_500).unwrap();
        overlay.set_len(20_000).unwrap();
        expected.truncate(8_500);
        expected.resize(20_000, 0);
        overlay.write(19_999, &[9]).unwrap();
        expected[19_999] = 9;

        let mut read = vec![1; 20_000];
        overlay.read(0, &mut read).unwrap();
        assert!(read == expected);
        assert_eq!(overlay.len().unwrap(), 20_000);
        let mut part = [0; 3];
        overlay.read(4_094, &mut part).unwrap();
        assert_eq!(part, [7; 3]);
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}
