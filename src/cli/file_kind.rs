//! Tells backups and exports apart, for commands that were given the wrong one.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// How many bytes are looked at.
const BEGINNING: u64 = 64;

/// Which command made a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `backup`.
    Backup,
    /// `export`.
    Lines,
    /// None of them, or it cannot be read.
    Other,
}

impl FileKind {
    /// Detects it by the first bytes of a file.
    pub(super) fn of(path: &Path) -> Self {
        let mut beginning = Vec::new();
        // A pipe gives its bytes once, to whoever reads it in earnest.
        if let Ok(file) = File::open(path)
            && file.metadata().is_ok_and(|found| found.is_file())
        {
            // What cannot be read is told by whoever needs it.
            let _ = file.take(BEGINNING).read_to_end(&mut beginning);
        }
        Self::of_bytes(&beginning)
    }

    fn of_bytes(beginning: &[u8]) -> Self {
        if beginning.starts_with(b"redb\x1a") {
            return Self::Backup;
        }
        let text = beginning.strip_prefix(b"\xef\xbb\xbf");
        let text = text.unwrap_or(beginning);
        if text.trim_ascii_start().starts_with(b"{") {
            return Self::Lines;
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (bytes, given) in [
            (&b"redb\x1a\x0a\xa9\x0d\x0a\x00"[..], FileKind::Backup),
            (b"{\"type\":\"session\"", FileKind::Lines),
            (b"\n {\"type\":", FileKind::Lines),
            (b"\xef\xbb\xbf{\"type\":", FileKind::Lines),
            (b"redb is a word", FileKind::Other),
            (b"", FileKind::Other),
        ] {
            assert_eq!(FileKind::of_bytes(bytes), given);
        }
        assert_eq!(FileKind::of(Path::new("/dev/null")), FileKind::Other);
        assert_eq!(FileKind::of(Path::new("/no/such/file")), FileKind::Other);
    }
}
