//! A pseudo-terminal in the place of the tester's.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

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
