//! The real binary, started as a user would start it: in a directory of its own, on a free port,
//! with nothing of the tester's own settings.
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

/// What the server inherits of the tester's environment: enough to run and to be measured.
const INHERITED: [&str; 5] = [
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "RUST_BACKTRACE",
];

/// A start that takes longer has failed. Generous: a test machine may be busy.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A stop that takes longer has failed: above any deadline of the server's own.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// How often the log is read for the line that says where the server listens.
const POLL: Duration = Duration::from_millis(10);

/// Where nothing was written for so long, all was.
const LOG_PAUSE: Duration = Duration::from_millis(50);

/// A server that has not been started yet.
#[derive(Debug)]
pub(crate) struct Builder {
    home: TempDir,
    args: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    /// The command that starts the binary, whose path and arguments follow.
    wrapper: Vec<String>,
}

impl Builder {
    fn new() -> Self {
        let builder = Self {
            home: TempDir::with_prefix("sessiond-test-").expect("a temporary directory"),
            args: Vec::new(),
            variables: BTreeMap::new(),
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

    /// Lets the server have no more files open than these.
    pub(crate) fn open_files(self, limit: u32) -> Self {
        let script = format!(r#"ulimit -n {limit} && exec "$0" "$@""#);
        self.wrapped(&["sh", "-c", &script])
    }

    /// Starts the server by another command, which gets the binary with its arguments as its last ones.
    pub(crate) fn wrapped(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(ToString::to_string).collect();
        self
    }

    /// The server's working directory, where it looks for `.env`.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The server's data directory; the server makes it.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home().join("data")
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        let run = self.launch();
        Server { setup: self, run }
    }

    /// Runs the binary to its end: for commands, and for starts that must be refused.
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
            // Asked before the log is read, so that the log is complete if it has ended.
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

    /// Output goes to a file: it needs no reader, and it outlives the process.
    fn spawn(&self) -> Child {
        let out = self.open_log();
        let err = out.try_clone().expect("a file can be cloned");
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some((name, env::var_os(name)?)));
        self.program()
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

    fn program(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_sessiond");
        let Some((program, arguments)) = self.wrapper.split_first() else {
            return Command::new(binary);
        };
        let mut command = Command::new(program);
        command.args(arguments).arg(binary);
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
    /// Where this run's part of the log begins.
    log_start: usize,
}

/// A run of the binary that has ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// All that it wrote, standard output and standard error in one.
    pub(crate) log: String,
}

/// A running server. Dropped, it is killed and its directory removed; where the test has failed,
/// its log is shown.
#[derive(Debug)]
pub(crate) struct Server {
    run: Running,
    setup: Builder,
}

impl Server {
    /// Starts a server with nothing but defaults.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    /// A server to be set up first.
    pub(crate) fn builder() -> Builder {
        Builder::new()
    }

    /// Where it listens: `http://HOST:PORT`, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.run.url
    }

    /// The address of a path, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url())
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.run.child.id()
    }

    /// The server's working directory, where it looks for `.env`.
    pub(crate) fn home(&self) -> &Path {
        self.setup.home()
    }

    /// The server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.setup.data_dir()
    }

    /// What the server has logged since it was last started. A thread of its own writes the log,
    /// which may be a little behind.
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

    /// Ends the server as a crash does: it gets no chance to do anything.
    pub(crate) fn kill9(&mut self) {
        process::kill(&mut self.run.child);
    }

    /// Sends a signal by its short name (`TERM`, `INT`, `HUP`) and does not wait.
    pub(crate) fn signal(&self, name: &str) {
        // Every shell has `kill` built in; not every machine has it as a program.
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, name, &self.pid().to_string()])
            .status()
            .expect("a shell can be started");
        assert!(status.success(), "the server is there to be signalled");
    }

    /// Asks the server to stop (SIGTERM) and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = self.wait_at_most(STOP_LIMIT);
        status.expect("the server stops when it is asked to")
    }

    /// Waits until the server ends. After `limit` it is killed, and the answer is `None`.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> Option<ExitStatus> {
        process::wait_at_most(&mut self.run.child, limit)
    }

    /// Starts the server again: the same data and settings, a new port. One that still runs is
    /// killed first.
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

/// Finds the line `listening on http://HOST:PORT`, whatever stands before or after it.
fn listening_url(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]-".contains(c)))?;
    Some(format!("http://{}", &rest[..end]))
}
