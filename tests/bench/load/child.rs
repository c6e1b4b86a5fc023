//! Processes of this program: what is measured is not to share memory or threads with who
//! measures it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::target::Address;

/// A process that does not listen by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often is looked whether it listens.
const POLL: Duration = Duration::from_millis(1);

/// A process that serves. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: Address,
}

/// A command of this same program.
pub(crate) fn this_program(args: &[&OsStr]) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("this program does not find itself")?;
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

impl Server {
    /// Starts the server with its data and its log in this folder.
    pub(crate) fn start(
        folder: &Path,
        log: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let ready = folder.join("server.address");
        let mut command = this_program(&["serve".as_ref(), ready.as_os_str()])?;
        command
            .current_dir(folder)
            .env_clear()
            .env("DATA_DIR", folder.join("data"))
            .env("SERVER_PORT", "0")
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", log)
            .envs(settings.iter().copied())
            .stdout(File::create(folder.join("server.log"))?);
        Self::launch(command, &ready)
    }

    /// Starts a bare server whose answers have so many bytes.
    pub(crate) fn start_bare(folder: &Path, bytes: usize) -> anyhow::Result<Self> {
        let ready = folder.join("bare.address");
        let bytes = bytes.to_string();
        let command = this_program(&["bare".as_ref(), ready.as_os_str(), bytes.as_ref()])?;
        Self::launch(command, &ready)
    }

    fn launch(mut command: Command, ready: &PathBuf) -> anyhow::Result<Self> {
        // That of a process before this one says nothing of it.
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
            if start.elapsed() > PATIENCE {
                child.kill()?;
                bail!("the server does not listen");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server did not stop cleanly ({status})");
        }
        Ok(())
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
