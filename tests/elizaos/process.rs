//! The real `ElizaOS` server as a process, installed once.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::node::run;
use crate::support::process;

/// Long enough to download 400 MB.
const INSTALL_LIMIT: Duration = Duration::from_mins(10);

/// The first start creates the database.
const START_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);

/// The variable that overrides the directory of the installation.
const DIRECTORY_VARIABLE: &str = "SESSIOND_ELIZAOS_DIR";

/// The agent's id, which `ElizaOS` derives from the name "Rules".
pub(crate) const AGENT: &str = "bb11a8e3-f871-0e36-a7cd-9d1c615a4e3d";

/// An `ElizaOS` server. Dropping it kills it.
pub(crate) struct ElizaOs {
    directory: PathBuf,
    data: TempDir,
    port: u16,
    child: Child,
}

impl ElizaOs {
    /// Starts one with a database of its own, and waits until its agent is ready.
    pub(crate) fn start() -> Self {
        let directory = install().expect("the packages can be installed");
        let data = TempDir::with_prefix("sessiond-elizaos-").expect("a temporary directory");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let child = spawn(&directory, data.path(), port);
        let mut eliza = Self {
            directory,
            data,
            port,
            child,
        };
        eliza.wait_until_ready();
        eliza
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns how often the action `COUNT` ran.
    pub(crate) fn counted(&self) -> usize {
        let text = fs::read_to_string(self.data.path().join("count")).unwrap_or_default();
        text.lines().count()
    }

    pub(crate) fn kill(&mut self) {
        process::kill(&mut self.child);
    }

    /// Starts it again with the same database, without waiting.
    pub(crate) fn launch(&mut self) {
        self.kill();
        self.child = spawn(&self.directory, self.data.path(), self.port);
    }

    /// Sends a signal by its short name (`STOP`, `CONT`).
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args([
                "-c",
                r#"kill -s "$0" "$1""#,
                name,
                &self.child.id().to_string(),
            ])
            .status()
            .expect("a shell can be started");
        assert!(status.success(), "the server runs");
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            let log = self.log();
            if log.lines().any(|line| line == format!("ready: {AGENT}")) {
                return;
            }
            let ended = self.child.try_wait().expect("a child can be waited for");
            let is_late = start.elapsed() > START_LIMIT;
            assert!(
                ended.is_none() && !is_late,
                "ElizaOS does not start; its log:\n{log}"
            );
            thread::sleep(POLL);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for ElizaOs {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("The log of ElizaOS:\n{}", self.log());
        }
    }
}

fn spawn(directory: &Path, data: &Path, port: u16) -> Child {
    let log = File::create(data.join("log")).expect("a log file can be created");
    let errors = log.try_clone().expect("a file can be cloned");
    Command::new(directory.join("node_modules/.bin/bun"))
        .arg("server.mjs")
        .arg(data.join("database"))
        .arg(port.to_string())
        .current_dir(directory)
        .env("COUNT_FILE", data.join("count"))
        // Without this, it reports its errors to its developers.
        .env("SENTRY_DSN", "http://key@127.0.0.1:9/1")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("bun can be started")
}

/// Installs the packages unless they are installed, and returns their directory.
fn install() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elizaos");
    let directory = directory();
    fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let wanted = fs::read(source.join("package.json")).expect("a file of this checkout");
    let done = directory.join("installed");
    if fs::read(&done).ok().as_ref() != Some(&wanted) {
        fs::write(directory.join("package.json"), &wanted).map_err(|error| error.to_string())?;
        // Only bun's installation script is needed.
        let options = [
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefer-offline",
        ];
        let mut npm = Command::new("npm");
        npm.arg("install").args(options).current_dir(&directory);
        run(&mut npm, INSTALL_LIMIT)?;
        let mut node = Command::new("node");
        node.arg("install.js")
            .current_dir(directory.join("node_modules/bun"));
        run(&mut node, INSTALL_LIMIT)?;
        fs::write(&done, &wanted).map_err(|error| error.to_string())?;
    }
    let server = "server.mjs";
    fs::copy(source.join(server), directory.join(server)).map_err(|error| error.to_string())?;
    Ok(directory)
}

fn directory() -> PathBuf {
    let named = env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from);
    let cache = || {
        let home = env::var_os("HOME").map_or_else(env::temp_dir, PathBuf::from);
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| home.join(".cache"));
        cache.join("sessiond-tests/elizaos")
    };
    named.unwrap_or_else(cache)
}
