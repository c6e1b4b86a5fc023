//! Child processes with a time limit.

use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// Interval at which a child process is polled.
const POLL: Duration = Duration::from_millis(10);

/// Waits until the child ends. After `limit`, kills it and returns `None`.
pub(crate) fn wait_at_most(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if start.elapsed() > limit {
            kill(child);
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Ends the child like `kill -9`. A child that has already ended is fine.
pub(crate) fn kill(child: &mut Child) {
    // Fails only if the child has already ended.
    let _ = child.kill();
    child.wait().expect("a child can be waited for");
}
