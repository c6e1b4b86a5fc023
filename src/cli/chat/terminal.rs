//! What is typed while a reply is streamed.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::input::Entered;

/// The longest line of a terminal, in bytes.
const MAX_LINE: usize = 4096;

const NO_TIME: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// Returns what was typed, without waiting for it.
pub(super) fn typed() -> Option<Entered> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    if poll(&mut polled, Some(&NO_TIME)).ok()? == 0 {
        return None;
    }
    // Not through the buffer of the standard library: a line editor reads the rest.
    let mut line = vec![0; MAX_LINE];
    let length = rustix::io::read(&stdin, line.as_mut_slice()).ok()?;
    if length == 0 {
        return Some(Entered::End);
    }
    let line = String::from_utf8_lossy(&line[..length]);
    Some(Entered::Line(line.trim().to_owned()))
}
