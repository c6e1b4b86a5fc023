//! Distinguishes backups and exports, for commands that get the wrong one.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// How many bytes of a file are read.
const PREFIX_BYTES: u64 = 64;

/// The command that wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `backup`.
    Backup,
    /// `export`.
    Lines,
    /// Neither of them, or the file cannot be read.
    Other,
}

impl FileKind {
    /// Detects the kind by the first bytes of a file.
    pub(super) fn detect(path: &Path) -> Self {
        let mut prefix = Vec::new();
        // Only of regular files: a pipe provides its bytes only once.
        if let Ok(file) = File::open(path)
            && file.metadata().is_ok_and(|found| found.is_file())
        {
            let _ = file.take(PREFIX_BYTES).read_to_end(&mut prefix);
        }
        Self::from_bytes(&prefix)
    }

    fn from_bytes(prefix: &[u8]) -> Self {
        let text = prefix.strip_prefix(b"\xef\xbb\xbf").unwrap_or(prefix);
        if prefix.starts_with(b"redb\x1a") {
            Self::Backup
        } else if text.trim_ascii_start().starts_with(b"{") {
            Self::Lines
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_detected_by_their_first_bytes() {
        for (bytes, kind) in [
            (&b"redb\x1a\x0a\xa9\x0d\x0a\x00"[..], FileKind::Backup),
            (b"{\"type\":\"session\"", FileKind::Lines),
            (b"\n {\"type\":", FileKind::Lines),
            (b"\xef\xbb\xbf{\"type\":", FileKind::Lines),
            (b"redb is a word", FileKind::Other),
            (b"", FileKind::Other),
        ] {
            assert_eq!(FileKind::from_bytes(bytes), kind);
        }
        assert_eq!(FileKind::detect(Path::new("/dev/null")), FileKind::Other);
        assert_eq!(
            FileKind::detect(Path::new("/no/such/file")),
            FileKind::Other
        );
    }
}
