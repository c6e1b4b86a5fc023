//! The real binary, started as a user would start it: in a temporary directory, on a free port,
//! without the tester's own settings.
//!
//! ```ignore
//! let mut server = Server::builder().env("SESSION_TIME_SCALE", "60").start();
//! // … requests to server.at("/api/agents") …
//! server.kill9();
//! server.restart(); // the same data, a new port
//! ```

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process;

/// The variables of the tester's environment that the server inherits.
const INHERITED: [&str; 5] = [
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "RUST_BACKTRACE",
];

/// The longest that a start may take. Generous, since a test machine may be busy.
const START_LIMIT: Duration = Duration::from_mins(1);

/// The longest that a stop may take: longer than any deadline of the server.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// Interval at which the log is searched for the server's address.
const POLL: Duration = Duration::from_millis(10);

/// The log is complete when nothing was written for this long.
const LOG_PAUSE: Duration = Duration::from_millis(50);

/// Sets up a server before its start.
#[derive(Debug)]
pub(crate) struct Builder {
    home: TempDir,
    args: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    program: PathBuf,
    /// The command before the binary's path and arguments.
    wrapper: Vec<String>,
}

impl Builder {
    fn new() -> Self {
        let builder = Self {
            home: TempDir::with_prefix("sessiond-test-").expect("a temporary directory"),
            args: Vec::new(),
            variables: BTreeMap::new(),
            program: env!("CARGO_BIN_EXE_sessiond").into(),
            wrapper: Vec::new(),
        };
        let data_dir = builder.data_dir();
        builder
            .env("DATA_DIR", data_dir)
            .env("SERVER_PORT", "0")
            .env("LOG_FORMAT", "text")
            .env("NO_COLOR", "1")
    }

    /// Sets an environment variable of the server.
    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Adds a command-line argument.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Starts this program instead of the binary under test.
    pub(crate) fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = path.into();
        self
    }

    /// Limits the number of open files.
    pub(crate) fn open_files(self, limit: u32) -> Self {
        let script = format!(r#"ulimit -n {limit} && exec "$0" "$@""#);
        self.wrapped(&["sh", "-c", &script])
    }

    /// Starts the server through another command, to which the binary and its arguments are
    /// appended.
    pub(crate) fn wrapped(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Returns the server's working directory, where it looks for `.env`.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the server's data directory, which the server creates.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        let run = self.launch();
        Server { setup: self, run }
    }

    /// Runs the binary to its end, for commands and for refused starts.
    pub(crate) fn run(&self) -> Finished {
        let log_start = self.log_length();
        let mut child = self.spawn();
        let status = process::wait_at_most(&mut child, START_LIMIT);
        let log = self.log_since(log_start);
        match status {
            Some(status) => Finished { status, log },
            None => panic!("sessiond did not end by itself; its log:\n{log}"),
        }
    }

    fn launch(&self) -> Running {
        let log_start = self.log_length();
        let mut child = self.spawn();
        let start = Instant::now();
        loop {
            // Polled before the log is read, so that the log is complete if it has ended.
            let ended = child.try_wait().expect("a child can be waited for");
            let log = self.log_since(log_start);
            if let Some(url) = listening_url(&log) {
                return Running {
                    child,
                    url,
                    log_start,
                };
            }
            if let Some(status) = ended {
                panic!("sessiond ended ({status}) before it listened; its log:\n{log}");
            }
            if start.elapsed() > START_LIMIT {
                process::kill(&mut child);
                panic!("sessiond does not listen; its log:\n{log}");
            }
            thread::sleep(POLL);
        }
    }

    /// The output goes to a file: it needs no reader and survives the process.
    fn spawn(&self) -> Child {
        let out = self.open_log();
        let err = out.try_clone().expect("a file can be cloned");
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, env::var_os(name)?)));
        self.command()
            .args(&self.args)
            .current_dir(self.home())
            .env_clear()
            .envs(inherited)
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .expect("the binary under test can be started")
    }

    fn command(&self) -> Command {
        let Some((wrapper, arguments)) = self.wrapper.split_first() else {
            return Command::new(&self.program);
        };
        let mut command = Command::new(wrapper);
        command.args(arguments).arg(&self.program);
        command
    }

    fn log_file(&self) -> PathBuf {
        self.home().join("sessiond.log")
    }

    fn open_log(&self) -> File {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the log file can be opened")
    }

    fn log_length(&self) -> usize {
        fs::read(self.log_file()).map_or(0, |log| log.len())
    }

    fn log_since(&self, start: usize) -> String {
        let log = fs::read(self.log_file()).expect("the log file can be read");
        String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned()
    }
}

/// One run of the server, from its start to its end.
#[derive(Debug)]
struct Running {
    child: Child,
    url: String,
    /// The offset at which this run's part of the log begins.
    log_start: usize,
}

/// A finished run of the binary.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit status.
    pub(crate) status: ExitStatus,
    /// Standard output and standard error, interleaved.
    pub(crate) log: String,
}

/// A running server. Dropping it kills it and removes its directory; if the test failed, its log is
/// printed.
#[derive(Debug)]
pub(crate) struct Server {
    run: Running,
    setup: Builder,
}

impl Server {
    /// Starts a server with default settings.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder with the defaults of the tests.
    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    /// Returns the server's address, `http://HOST:PORT`, without a trailing slash.
    pub(crate) fn url(&self) -> &str {
        &self.run.url
    }

    /// Returns the address of a path, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url())
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.run.child.id()
    }

    /// Returns the server's working directory, where it looks for `.env`.
    pub(crate) fn home(&self) -> &Path {
        self.setup.home()
    }

    /// Returns the server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.setup.data_dir()
    }

    /// Returns the log since the last start. A thread of its own writes the log, which may lag a
    /// little behind.
    pub(crate) fn log(&self) -> String {
        let read = || self.setup.log_since(self.run.log_start);
        let mut log = read();
        loop {
            thread::sleep(LOG_PAUSE);
            let later = read();
            if later.len() == log.len() {
                return log;
            }
            log = later;
        }
    }

    /// Sets an environment variable for the next [`restart`](Self::restart).
    pub(crate) fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.setup.variables.insert(name.into(), value.into());
    }

    /// Ends the server like a crash.
    pub(crate) fn kill9(&mut self) {
        process::kill(&mut self.run.child);
    }

    /// Sends a signal by its short name (`TERM`, `INT`, `HUP`) and does not wait.
    pub(crate) fn signal(&self, name: &str) {
        // `kill` is built into every shell, but not installed on every machine.
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, name, &self.pid().to_string()])
            .status()
            .expect("a shell can be started");
        assert!(status.success(), "the server runs");
    }

    /// Stops the server with SIGTERM and waits for its end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = self.wait_at_most(STOP_LIMIT);
        status.expect("the server stops in time")
    }

    /// Waits until the server ends. After `limit`, kills it and returns `None`.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> Option<ExitStatus> {
        process::wait_at_most(&mut self.run.child, limit)
    }

    /// Starts the server again with the same data and settings on a new port. Kills it first if it
    /// still runs.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        self.run = self.setup.launch();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        if thread::panicking() {
            eprintln!("The log of the server at {}:\n{}", self.url(), self.log());
        }
    }
}

/// Finds the address in the line with `listening on http://HOST:PORT`.
fn listening_url(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]-".contains(c)))?;
    Some(format!("http://{}", &rest[..end]))
}
