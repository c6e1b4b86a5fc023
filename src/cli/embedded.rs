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
use crate::telemetry;

/// A server that only listens on the Unix socket.
pub(super) struct Embedded {
    stop: CancellationToken,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Embedded {
    /// Starts a server for a command. It listens on return. Its warnings so far are printed, later
    /// ones are only at `GET /api/admin/log`: the output belongs to the command.
    pub(super) async fn start(
        config: &Config,
        command: &str,
        resumes: bool,
    ) -> anyhow::Result<Self> {
        let config = Config {
            // A verification or a backup would delay the end of the command, and its end is not the
            // end of the service whose data is to be cleared.
            verify_interval: None,
            backups: None,
            clear_on_shutdown: false,
            ..config.clone()
        };
        let log = telemetry::collect();
        let warnings = config.warnings.clone();
        let parts = Overrides {
            clock: Clock::system(),
            agents: Vec::new(),
            recent_log: log.clone(),
            scan_limits: ScanLimits::default(),
            greeting: None,
        };
        let server = Server::start(config, parts, command)?;
        let socket = server.bind_socket();
        let socket = socket.with_context(|| format!("`sessiond {command}` needs a Unix socket"));
        let socket = socket.map_err(|error| hints::append(&error, hints::ANOTHER_DIRECTORY))?;
        if resumes {
            server.resume().await?;
        }
        let logged = log.lines();
        let logged = logged.iter().map(|line| line.message.as_str());
        for warning in warnings.iter().map(String::as_str).chain(logged) {
            note(&one_line(warning));
        }
        let stop = CancellationToken::new();
        let serving = server.serve(None, Some(socket), stop.clone().cancelled_owned());
        Ok(Self {
            stop,
            serving: tokio::spawn(serving),
        })
    }

    /// Stops the server cleanly.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.serving.await?
    }
}
