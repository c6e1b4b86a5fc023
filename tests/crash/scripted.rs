//! A server with a scripted agent that can be slow, which the real binary does not have: this test
//! binary itself, run as another process.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sessiond::agents::character::Character;
use sessiond::agents::registry::Agent;
use sessiond::app::ScanLimits;
use sessiond::clock::Clock;
use sessiond::domain::time::Timestamp;
use sessiond::process::signals;
use sessiond::server::{self, Overrides};
use sessiond::settings::{Config, Layers};
use sessiond::telemetry;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::scripted_backend::Scripted;
use super::support::process;

/// The agent that runs the script in a message.
pub(crate) const AGENT: &str = "5c219ed0-0000-0000-0000-000000000001";

/// Makes [`child_server`] run a server.
const IS_CHILD: &str = "SESSIOND_TEST_IS_CHILD_SERVER";

/// The longest time for a start or a stop. Generous, since a test machine may be busy.
const LIMIT: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(10);

/// A running server. When this is dropped, it is killed and its directory removed; if the test has
/// failed, its log is printed.
#[derive(Debug)]
pub(crate) struct ScriptedServer {
    settings: Vec<(&'static str, &'static str)>,
    dir: TempDir,
    child: Child,
    url: String,
    starts: u32,
}

impl ScriptedServer {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with some settings.
    pub(crate) fn with(settings: &[(&'static str, &'static str)]) -> Self {
        let dir = TempDir::with_prefix("sessiond-scripted-").expect("a temporary directory");
        let settings = settings.to_vec();
        let (child, url) = launch(dir.path(), &settings, 1);
        Self {
            settings,
            dir,
            child,
            url,
            starts: 1,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Returns its log since the last start.
    pub(crate) fn log(&self) -> String {
        read_log(&log_file(self.dir.path(), self.starts))
    }

    /// Kills it like a crash.
    pub(crate) fn kill9(&mut self) {
        process::kill(&mut self.child);
    }

    /// Stops it with a signal, and waits for its end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let status = Command::new("sh")
            .args(["-c", r#"kill -s TERM "$0""#, &pid])
            .status()
            .expect("a shell can be started");
        assert!(status.success(), "the server is running");
        let status = process::wait_at_most(&mut self.child, LIMIT);
        status.expect("the server stops on a signal")
    }

    /// Restarts it with the same data and settings on a new port.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        self.starts += 1;
        (self.child, self.url) = launch(self.dir.path(), &self.settings, self.starts);
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.kill9();
        if thread::panicking() {
            for start in 1..=self.starts {
                let log = read_log(&log_file(self.dir.path(), start));
                eprintln!("The log of the scripted server's start {start}:\n{log}");
            }
        }
    }
}

fn launch(dir: &Path, settings: &[(&str, &str)], start: u32) -> (Child, String) {
    let log_file = log_file(dir, start);
    let log = File::create(&log_file).expect("a log file can be created");
    let errors = log.try_clone().expect("a file can be cloned");
    let mut child = Command::new(env::current_exe().expect("the path of this test binary"))
        .args(["--exact", "scripted::child_server", "--nocapture"])
        .current_dir(dir)
        .env_clear()
        .env(IS_CHILD, "1")
        .env("DATA_DIR", dir.join("data"))
        .env("SERVER_PORT", "0")
        .env("LOG_FORMAT", "text")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("this test binary can be started");
    let since = Instant::now();
    loop {
        let log = read_log(&log_file);
        let line = log.split_once("listening on ").map(|(_, rest)| rest);
        if let Some((url, _)) = line.and_then(|rest| rest.split_once('\n')) {
            return (child, url.trim().to_owned());
        }
        let has_ended = child.try_wait().expect("a child can be waited for");
        if has_ended.is_some() || since.elapsed() > LIMIT {
            process::kill(&mut child);
            panic!("the scripted server does not listen; its log:\n{log}");
        }
        thread::sleep(POLL);
    }
}

fn log_file(dir: &Path, start: u32) -> PathBuf {
    dir.join(format!("{start}.log"))
}

fn read_log(file: &Path) -> String {
    fs::read_to_string(file).expect("the log can be read")
}

/// Not a test, but the server, if a test starts it.
#[test]
fn child_server() {
    if env::var_os(IS_CHILD).is_none() {
        return;
    }
    let layers = Layers::from_process(HashMap::new()).expect("the environment can be read");
    let config = Config::read(layers).expect("the settings are valid");
    let (log, _) = telemetry::start(config.log_format, config.log_filter.as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime can be created");
    let ended = runtime.block_on(async {
        let stop = signals::stop_signal();
        let listener = TcpListener::bind(config.server.addresses.as_slice()).await?;
        let parts = Overrides {
            clock: Clock::system(),
            agents: vec![agent()],
            recent_log: log.recent().clone(),
            scan_limits: ScanLimits::default(),
            greeting: None,
        };
        server::run_with(config, parts, listener, stop).await
    });
    runtime.shutdown_background();
    ended.expect("the server runs and stops cleanly");
}

fn agent() -> Agent {
    let text = format!(r#"{{ "id": "{AGENT}", "name": "Scripted" }}"#);
    let character = Character::parse(Path::new("scripted.json"), &text, Timestamp(0));
    let backend = Scripted::new(Clock::system());
    Agent::with_backend(
        character.expect("the character is valid"),
        Box::new(backend),
    )
}
