//! The terminal of a person who watches the log.

use std::io::Write as _;

use anstream::adapter::strip_str;
use tracing_subscriber::fmt::MakeWriter as _;

use super::queue::{Queue, Queues};

/// A terminal that shows the log as text.
#[derive(Debug, Clone)]
pub struct Terminal {
    queue: Queue,
    is_colored: bool,
}

impl Terminal {
    pub(super) fn new(queues: &Queues, is_colored: bool) -> Self {
        let queue = queues.make_writer();
        Self { queue, is_colored }
    }

    /// Prints a text after the lines that are logged already. Its styles are left out unless the log
    /// is coloured.
    pub fn print(&mut self, text: &str) {
        // Queues take everything, or count what they drop.
        let _ = if self.is_colored {
            self.queue.write_all(text.as_bytes())
        } else {
            self.queue.write_all(strip_str(text).to_string().as_bytes())
        };
    }
}
