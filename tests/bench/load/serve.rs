//! The measured server, in a child process of this program.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::Path;

use sessiond::settings::{Config, Layers};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves until standard input ends, so that it ends with its parent even if that crashes.
pub(crate) fn run(ready: &Path) -> anyhow::Result<()> {
    let config = Config::read(Layers::from_process(HashMap::new())?)?;
    let (log, _) = sessiond::telemetry::start(config.log_format, config.log_filter.as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let listener = TcpListener::bind(config.server.addresses.as_slice()).await?;
        announce(ready, &listener)?;
        sessiond::server::run(config, log.recent(), None, listener, input_ends()).await
    });
    runtime.shutdown_background();
    ended
}

/// Writes the listener's address to a file, atomically.
pub(crate) fn announce(ready: &Path, listener: &TcpListener) -> io::Result<()> {
    let draft = ready.with_extension("draft");
    std::fs::write(&draft, listener.local_addr()?.to_string())?;
    std::fs::rename(draft, ready)
}

/// Waits for the end of standard input.
pub(crate) async fn input_ends() {
    let (ended, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        // An error counts as the end.
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        drop(ended);
    });
    let _ = end.await;
}
