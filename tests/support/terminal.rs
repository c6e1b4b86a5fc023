//! A pseudo-terminal in the place of the tester's, and programs on it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::process;

/// The longest that a program may show nothing while the test waits for it.
const LIMIT: Duration = Duration::from_mins(1);

/// A new pseudo-terminal: the side that reads what is shown and enters text, and the one that
/// programs have as input and output.
pub(crate) fn terminal() -> (File, File) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&shown).expect("it is ours");
    unlockpt(&shown).expect("it can be unlocked");
    let name = ptsname(&shown, Vec::new()).expect("it has a name");
    let path = OsStr::from_bytes(name.to_bytes());
    let program = OpenOptions::new().read(true).write(true).open(path);
    (File::from(shown), program.expect("it can be opened"))
}

/// A program on a terminal, and what it has shown.
#[derive(Debug)]
pub(crate) struct OnTerminal {
    child: Child,
    terminal: File,
    pieces: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
    /// How much of what is shown was expected so far.
    expected: usize,
}

impl OnTerminal {
    pub(crate) fn start(mut command: Command) -> Self {
        let (terminal, program) = terminal();
        let handle = || program.try_clone().expect("a second handle");
        command.stdin(handle()).stdout(handle()).stderr(handle());
        let child = command.spawn().expect("the program starts");
        // The handles of the program go, so that reading ends when it does.
        drop((command, program));
        let mut shown = terminal.try_clone().expect("a second handle");
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal that no program has open cannot be read.
            while let Ok(length @ 1..) = shown.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            terminal,
            pieces,
            bytes: Vec::new(),
            expected: 0,
        }
    }

    /// Returns everything that was shown so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.bytes).replace('\r', "")
    }

    /// Waits until the program shows a text after what was expected before.
    pub(crate) fn expect(&mut self, text: &str) {
        loop {
            let shown = self.shown();
            if let Some(at) = shown[self.expected..].find(text) {
                self.expected += at + text.len();
                return;
            }
            assert!(self.read(), "{text:?} was not shown: {shown}");
        }
    }

    /// Enters a text, as if it were typed.
    pub(crate) fn enter(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("it reads");
    }

    /// Sends a signal by its short name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, name, &id])
            .status()
            .expect("a shell can be started");
        assert!(status.success(), "the program runs");
    }

    /// Waits until the program ends. Returns everything that it has shown.
    pub(crate) fn finish(mut self) -> (ExitStatus, String) {
        while self.read() {}
        let status = process::wait_at_most(&mut self.child, LIMIT);
        let shown = self.shown();
        (status.expect("the program ends"), shown)
    }

    /// Reads what is shown next. Returns false if the program has ended or shows nothing.
    fn read(&mut self) -> bool {
        let piece = self.pieces.recv_timeout(LIMIT);
        piece.map(|piece| self.bytes.extend(piece)).is_ok()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}
