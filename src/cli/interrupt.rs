//! What is left where a signal ends a command.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::mpsc;
use std::thread;

use crate::shutdown;

/// Has SIGINT and SIGTERM remove an incomplete file before they end the process. Once the file has
/// its own name there is nothing to remove.
///
/// # Errors
/// The system has no thread to give, or no signals.
pub(super) fn remove_at_signal(file: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (listening, is_listening) = mpsc::channel();
    let wait = move || {
        let number = runtime.block_on(async {
            let signal = shutdown::signal_number();
            // Whoever is gone no longer waits.
            let _ = listening.send(());
            signal.await
        });
        let _ = fs::remove_file(file);
        // As a shell has it for a process that the signal itself has ended.
        process::exit(128 + number)
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    is_listening.recv().map_err(io::Error::other)
}
