//! Child processes that may not take for ever.

use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often a child process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(10);

/// Waits until the child ends. After `limit` it is killed, and the answer is `None`.
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

/// Ends the child at once, as `kill -9` does; one that has ended already is no fault.
pub(crate) fn kill(child: &mut Child) {
    // It fails only for a child that is gone.
    let _ = child.kill();
    child.wait().expect("a child can be waited for");
}
