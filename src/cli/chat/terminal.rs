//! What is typed while a reply is streamed.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest line of a terminal, in bytes.
const MAX_LINE: usize = 4096;

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Returns a line that was typed, without waiting for one.
pub(super) fn typed_line() -> Option<String> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    if poll(&mut polled, Some(&NO_TIME)).ok()? == 0 {
        return None;
    }
    // Not through the buffer of the standard library: a line editor reads the rest.
    let mut line = vec![0; MAX_LINE];
    let length = rustix::io::read(&stdin, line.as_mut_slice()).ok()?;
    line.truncate(length);
    Some(String::from_utf8_lossy(&line).trim().to_owned())
}
