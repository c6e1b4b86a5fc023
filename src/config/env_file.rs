//! The `.env` file, and what is said of one that cannot be read.
//!
//! A line of it may be a secret, also one that is not as it should be. So what is said of a line
//! is its number, its name if that is one, and what would be right.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::ConfigError;

/// The values of a file, by name; none where there is no such file.
pub(super) fn read(path: &Path) -> Result<HashMap<String, String>, ConfigError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(unreadable(path, &error)),
    };
    parse(&bytes).map_err(|(line, fault)| {
        ConfigError::new(format!("{}, line {line}: {fault}", path.display()))
    })
}

/// The values of a text; else the number of the first wrong line, and what is wrong with it.
fn parse(bytes: &[u8]) -> Result<HashMap<String, String>, (usize, String)> {
    // Some editors mark a text so.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let fault = "it is not UTF-8 text; save the file as UTF-8";
        (
            1 + memchr::memchr_iter(b'\n', before).count(),
            fault.to_owned(),
        )
    })?;
    let begun = Cell::new(0);
    let lines = Lines {
        rest: bytes,
        begun: &begun,
        is_within: false,
    };
    let mut values = HashMap::new();
    for entry in dotenvy::from_read_iter(lines) {
        let (name, value) = entry.map_err(|error| {
            let line = begun.get();
            match error {
                dotenvy::Error::LineParse(read, place) => {
                    // A value in quotes may go on over several lines.
                    let first = (line + 1)
                        .saturating_sub(read.lines().count().max(1))
                        .max(1);
                    let written = text.lines().nth(first - 1).unwrap_or_default();
                    (first, fault(written, &read, place))
                }
                other => (line, other.to_string()),
            }
        })?;
        values.insert(name, value);
    }
    Ok(values)
}

/// What is wrong with a line, of which this was read when it broke off at this place.
fn fault(line: &str, read: &str, place: usize) -> String {
    let Some(name) = name_of(line) else {
        return "it is not NAME=VALUE, with a NAME of letters, digits and _ that begins with no \
                digit; a comment begins with #"
            .to_owned();
    };
    let before = place.checked_sub(1).and_then(|at| read.chars().nth(at));
    let is_at_its_end = place >= read.len();
    match before {
        Some(' ' | '\t') if !is_at_its_end => format!(
            "the value of {name} has a blank outside of quotes; put the whole value in quotes, as \
             {name}='...'"
        ),
        Some('\\') if !is_at_its_end => format!(
            "the value of {name} has a \\ outside of single quotes; put the whole value in those, as \
             {name}='...'"
        ),
        _ => format!(
            "a quote in the value of {name} is not closed; close it, or put a value that has a \
             quote in it in quotes of the other kind, as {name}=\"it's\""
        ),
    }
}

/// The name before a line's first `=`, if it is one.
fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim_start();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (begins && name.chars().all(goes_on)).then_some(name)
}

/// What is said where there is something that cannot be read as a file.
fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let remedy = match error.kind() {
        ErrorKind::IsADirectory => {
            "settings are read from a file of this name in the working directory: rename the \
             folder, or start sessiond elsewhere"
        }
        ErrorKind::PermissionDenied => {
            "the user that runs sessiond must be allowed to read it; or start sessiond elsewhere"
        }
        _ => "start sessiond in another folder to do without it",
    };
    ConfigError::new(format!(
        "{} cannot be read: {error}; {remedy}",
        path.display()
    ))
}

/// Hands out a line at a time, so that it is known at which one a reader is.
struct Lines<'a> {
    rest: &'a [u8],
    /// How many lines were begun.
    begun: &'a Cell<usize>,
    /// Whether the last one was handed out in part.
    is_within: bool,
}

impl Read for Lines<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let line = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |end| end + 1);
        let (now, later) = self.rest.split_at(line.min(out.len()));
        if !self.is_within && !now.is_empty() {
            self.begun.set(self.begun.get() + 1);
        }
        self.is_within = now.len() < line;
        self.rest = later;
        out[..now.len()].copy_from_slice(now);
        Ok(now.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (usize, String) {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_wrong_line_is_told_by_its_number_and_what_would_be_right() {
        let long = format!("# {}\nA={}\n", "-".repeat(20_000), "x".repeat(20_000));
        for (before, lines) in [
            ("", 0),
            ("# A comment\n\nA=1\n", 3),
            ("A='one\ntwo\nthree'\r\n", 3),
            (long.as_str(), 2),
        ] {
            for (text, told) in [
                (
                    "X=a s3cret\n",
                    "the value of X has a blank outside of quotes",
                ),
                (
                    "export X=a\ts3cret",
                    "the value of X has a blank outside of quotes",
                ),
                (
                    "X=C:\\s3cret\nB=2\n",
                    "the value of X has a \\ outside of single quotes",
                ),
                (
                    "X='s3cret\nB=2\n",
                    "a quote in the value of X is not closed",
                ),
                (
                    "X=s3cret's\nB=2\n# It",
                    "a quote in the value of X is not closed",
                ),
                (
                    "X=\"s3cret\nmore",
                    "a quote in the value of X is not closed",
                ),
                ("s3cret\n", "it is not NAME=VALUE"),
                ("this is no s3cret = 1\n", "it is not NAME=VALUE"),
                ("1X=s3cret\n", "it is not NAME=VALUE"),
                ("don't tell s3cret\nB=2", "it is not NAME=VALUE"),
                ("=s3cret", "it is not NAME=VALUE"),
            ] {
                let (line, fault) = wrong(&format!("{before}{text}"));
                assert_eq!(line, lines + 1, "{text}: {fault}");
                assert!(fault.starts_with(told), "{text}: {fault}");
                assert!(!fault.contains("s3cret"), "{fault}");
            }
        }
    }

    #[test]
    fn what_is_advised_is_right() {
        for (text, value) in [
            ("X='a b'", "a b"),
            ("X='C:\\new'", "C:\\new"),
            ("X=\"it's\"", "it's"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap()["X"], value, "{text}");
        }
    }

    #[test]
    fn a_text_may_be_marked_as_utf_8() {
        let values = parse(b"\xEF\xBB\xBFA=1\nB=2\n").unwrap();
        assert_eq!((&*values["A"], &*values["B"]), ("1", "2"));
        assert_eq!(parse(b"\xEF\xBB\xBFA=1\nB = 2 3\n").unwrap_err().0, 2);
    }

    #[test]
    fn a_line_that_is_no_text_is_told_by_its_number() {
        let (line, fault) = parse(b"A=1\nB=\xe9\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(fault.contains("save the file as UTF-8"), "{fault}");
    }

    #[test]
    fn what_is_no_file_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let told = read(folder.path()).unwrap_err().to_string();
        assert!(told.contains("rename the folder"), "{told}");
        assert!(read(&folder.path().join(".env")).unwrap().is_empty());
        let refused = unreadable(Path::new(".env"), &ErrorKind::PermissionDenied.into());
        let told = refused.to_string();
        assert!(told.contains("allowed to read it"), "{told}");
    }
}
