//! A server within the process of a command.

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::hints;
use super::output::{note, one_line};
use crate::app::ScanLimits;
use crate::clock::Clock;
use crate::server::{Overrides, Server};
use crate::settings::Config;
use crate::store::error::OpenError;
use crate::telemetry::{self, RecentLog};

/// What a server within a process is started with.
pub(super) struct EmbeddedStart {
    config: Config,
    /// The command that it belongs to.
    command: &'static str,
    /// Whether it resumes the turns that the previous stop interrupted.
    resumes: bool,
    log: RecentLog,
}

/// A server that only listens on the Unix socket.
pub(super) struct Embedded {
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl EmbeddedStart {
    pub(super) fn new(config: &Config, command: &'static str, resumes: bool) -> Self {
        let config = Config {
            // A verification or a backup would delay the end of the command, and its end is not the
            // end of the service whose data is to be cleared.
            verify_interval: None,
            backups: None,
            clear_on_shutdown: false,
            ..config.clone()
        };
        Self {
            config,
            command,
            resumes,
            log: telemetry::collect(),
        }
    }

    /// Starts the server. It listens on return. Its warnings so far are printed, later ones are only
    /// at `GET /api/admin/log`: the output belongs to the command.
    ///
    /// Returns `None` if another process holds the data.
    pub(super) async fn start(&self) -> anyhow::Result<Option<Embedded>> {
        let command = self.command;
        let parts = Overrides {
            clock: Clock::system(),
            agents: Vec::new(),
            recent_log: self.log.clone(),
            scan_limits: ScanLimits::default(),
            greeting: None,
        };
        let started = Server::start(self.config.clone(), parts, command);
        let is_in_use =
            |error: &anyhow::Error| matches!(error.downcast_ref(), Some(OpenError::InUse));
        let server = match started {
            Err(error) if is_in_use(&error) => return Ok(None),
            started => started?,
        };
        let socket = server.bind_socket();
        let socket = socket.with_context(|| format!("`sessiond {command}` needs a Unix socket"));
        let socket = socket.map_err(|error| hints::append(&error, hints::ANOTHER_DIRECTORY))?;
        if self.resumes {
            server.resume().await?;
        }
        let logged = self.log.lines();
        let logged = logged.iter().map(|line| line.message.as_str());
        for warning in self
            .config
            .warnings
            .iter()
            .map(String::as_str)
            .chain(logged)
        {
            note(&one_line(warning));
        }
        let stop = CancellationToken::new();
        let serving = server.serve(None, Some(socket), stop.clone().cancelled_owned());
        Ok(Some(Embedded {
            stop,
            serving: tokio::spawn(serving),
        }))
    }
}

impl Embedded {
    /// Stops the server cleanly.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.serving.await?
    }
}
