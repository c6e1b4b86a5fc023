//! Child processes of this program, so that the measured server shares neither memory nor threads
//! with the load generator.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::target::Address;

/// The longest that a process may take until it listens.
const START_LIMIT: Duration = Duration::from_mins(1);

/// Interval at which a starting process is polled.
const POLL: Duration = Duration::from_millis(1);

/// A serving process. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    /// Its address.
    pub(crate) address: Address,
}

/// Returns a command that runs this program.
pub(crate) fn this_program(args: &[&OsStr]) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

impl Server {
    /// Starts the server with its data and log in this directory.
    pub(crate) fn start(
        directory: &Path,
        log: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let ready = directory.join("server.address");
        let mut command = this_program(&["serve".as_ref(), ready.as_os_str()])?;
        command
            .current_dir(directory)
            .env_clear()
            .env("DATA_DIR", directory.join("data"))
            .env("SERVER_PORT", "0")
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", log)
            .envs(settings.iter().copied())
            .stdout(File::create(directory.join("server.log"))?);
        Self::launch(command, &ready)
    }

    /// Starts a bare server whose answers have this many bytes.
    pub(crate) fn start_bare(directory: &Path, bytes: usize) -> anyhow::Result<Self> {
        let ready = directory.join("bare.address");
        let bytes = bytes.to_string();
        let command = this_program(&["bare".as_ref(), ready.as_os_str(), bytes.as_ref()])?;
        Self::launch(command, &ready)
    }

    fn launch(mut command: Command, ready: &PathBuf) -> anyhow::Result<Self> {
        // The file may be left from an earlier process.
        let _ = fs::remove_file(ready);
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let start = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(ready) {
                let address = Address::of(text.parse()?);
                return Ok(Self { child, address });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server ended ({status}) before it listened");
            }
            if start.elapsed() > START_LIMIT {
                child.kill()?;
                bail!("the server does not listen");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the process cleanly and waits for its end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server did not stop cleanly ({status})");
        }
        Ok(())
    }

    /// Ends the process like a crash.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
