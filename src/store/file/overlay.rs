//! Looking into a file without touching it.
//!
//! redb recovers a file that a crash left as soon as it opens it, and writes to any file that it
//! opens in full. That is too much for a file that is then refused, or whose disk is not to be
//! trusted. Here redb does all that to what it sees of the file: what it writes stays in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const BLOCK: usize = 4096;

/// What is looked into.
pub(in crate::store) trait Source: std::fmt::Debug + Send + 'static {
    /// How long it is.
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer with what stands at a place of it.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Source for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }
}

/// A file, and what would have been written to it.
#[derive(Debug)]
pub(in crate::store) struct CopyOnWriteOverlay(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    source: Box<dyn Source>,
    /// How much of the file counts.
    file_length: u64,
    length: u64,
    written: HashMap<u64, Box<[u8; BLOCK]>>,
}

impl CopyOnWriteOverlay {
    pub(in crate::store) fn into(source: impl Source) -> io::Result<Self> {
        let length = source.length()?;
        Ok(Self(Mutex::new(Inner {
            source: Box::new(source),
            file_length: length,
            length,
            written: HashMap::new(),
        })))
    }

    /// The same, of a file whose writer pauses and will go on: its header, which alone is written
    /// over where it stands, is seen as it is now.
    pub(in crate::store) fn beside_a_writer(source: impl Source) -> io::Result<Self> {
        let mut header = Box::new([0; BLOCK]);
        source.read_at(0, header.as_mut_slice())?;
        let peek = Self::into(source)?;
        peek.inner().written.insert(0, header);
        Ok(peek)
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
        let is_as_it_was = offset + out.len() as u64 <= inner.file_length
            && parts(offset, out.len()).all(|(block, ..)| !inner.written.contains_key(&block));
        if is_as_it_was {
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
            // What is cut off is zero if the file grows again.
            inner.file_length = inner.file_length.min(length);
            for (block, bytes) in &mut inner.written {
                let kept = length.saturating_sub(block * BLOCK as u64);
                bytes[usize::try_from(kept).unwrap_or(BLOCK).min(BLOCK)..].fill(0);
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
        let left = self.file_length.saturating_sub(start);
        let left = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        self.source.read_at(start, &mut bytes[..left])?;
        Ok(bytes)
    }
}

/// The blocks of a range, each with its part within the block and within the range.
fn parts(
    offset: u64,
    length: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        // A remainder of the block's size fits.
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
    fn what_is_written_is_read_again_and_the_file_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let peek = CopyOnWriteOverlay::into(File::open(&path).unwrap()).unwrap();
        let mut expected = bytes.clone();

        peek.write(4_000, &[7; 5_000]).unwrap();
        expected[4_000..9_000].fill(7);
        peek.set_len(8_500).unwrap();
        peek.set_len(20_000).unwrap();
        expected.truncate(8_500);
        expected.resize(20_000, 0);
        peek.write(19_999, &[9]).unwrap();
        expected[19_999] = 9;

        let mut read = vec![1; 20_000];
        peek.read(0, &mut read).unwrap();
        assert!(read == expected);
        assert_eq!(peek.len().unwrap(), 20_000);
        let mut part = [0; 3];
        peek.read(4_094, &mut part).unwrap();
        assert_eq!(part, [7; 3]);
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}
