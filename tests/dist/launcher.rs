//! The launcher of the npm package, with a stand-in for the binary.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::support::node;
use super::support::process::wait_at_most;
use super::{find, npm_platform, source, write_script};

const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);

/// Says that it runs, and then lists its signals, until the directory is removed.
const SERVER: &str = "#!/bin/sh
trap 'echo hangup >>log' HUP
trap 'echo interrupt >>log' INT
trap 'echo terminate >>log; exit 7' TERM
echo ready >log
while [ -e log ]; do sleep 0.05; done
";

/// How Node.js runs the binary.
#[derive(Debug, Clone, Copy)]
enum Means {
    /// As it can: newer versions replace the process.
    Any,
    /// As a child, like older versions.
    Child,
}

/// A directory in which the package is installed.
struct Installed(TempDir);

impl Installed {
    /// Installs the launcher, and a binary for these platforms.
    fn new(platforms: &[&str], binary: Option<&str>) -> Self {
        let directory = TempDir::with_prefix("sessiond-npm-").expect("a temporary directory");
        let packages = directory.path().join("node_modules");
        let launcher = fs::read_to_string(source("data/dist/npm/sessiond.js")).expect("a launcher");
        write_script(&packages.join("sessiond/bin/sessiond.js"), &launcher);
        let names = platforms
            .iter()
            .map(|it| (format!("@sessiond/{it}"), json!("1.2.3")));
        let names: serde_json::Map<_, _> = names.collect();
        let package = json!({ "name": "sessiond", "optionalDependencies": names }).to_string();
        fs::write(packages.join("sessiond/package.json"), package).expect("a new file");
        if let Some(binary) = binary {
            let name = format!("@sessiond/{}/bin/sessiond", npm_platform());
            write_script(&packages.join(name), binary);
        }
        let without = directory.path().join("without-execve.js");
        fs::write(without, "delete process.execve;").expect("a new file");
        Self(directory)
    }

    fn command(&self, means: Means, arguments: &[&str]) -> Command {
        let mut command = Command::new(find("node").expect("node is installed"));
        if let Means::Child = means {
            command.arg("--require=./without-execve.js");
        }
        command
            .arg("node_modules/sessiond/bin/sessiond.js")
            .args(arguments);
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, means: Means, arguments: &[&str]) -> Output {
        let output = self.command(means, arguments).output();
        output.expect("node can be started")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }

    fn wait_for(&self, line: &str, child: &mut Child) {
        let start = Instant::now();
        while !self.log().lines().any(|it| it == line) {
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "ended with {ended:?} before {line}");
            assert!(start.elapsed() < LIMIT, "no {line}: {}", self.log());
            thread::sleep(POLL);
        }
    }
}

/// Sends a signal to the launcher only.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", r#"kill -s "$0" "$1""#, name, &child.id().to_string()])
        .status();
    assert!(sent.expect("a shell can be started").success());
}

fn has_node() -> bool {
    let found = find("node").is_some();
    if !found {
        node::skip("there is no node on this machine");
    }
    found
}

#[test]
fn the_binary_gets_the_arguments_and_decides_the_exit_code() {
    if !has_node() {
        return;
    }
    let binary = "#!/bin/sh\nfor it in \"$@\"; do echo \"[$it]\"; done\necho problem >&2\nexit 3\n";
    let installed = Installed::new(&[&npm_platform()], Some(binary));
    for means in [Means::Any, Means::Child] {
        let output = installed.run(means, &["serve", "--port=1", "two words", ""]);
        assert_eq!(output.status.code(), Some(3), "{means:?}");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(printed, "[serve]\n[--port=1]\n[two words]\n[]\n");
        assert_eq!(output.stderr, b"problem\n", "{means:?}");
    }
}

#[test]
fn signals_reach_the_binary() {
    if !has_node() {
        return;
    }
    for means in [Means::Any, Means::Child] {
        let installed = Installed::new(&[&npm_platform()], Some(SERVER));
        let mut child = installed.command(means, &[]).spawn().expect("node starts");
        installed.wait_for("ready", &mut child);
        for (name, line) in [("HUP", "hangup"), ("INT", "interrupt")] {
            signal(&child, name);
            installed.wait_for(line, &mut child);
        }
        signal(&child, "TERM");
        let status = wait_at_most(&mut child, LIMIT).expect("it ends");
        assert_eq!(status.code(), Some(7), "{means:?}");
        assert_eq!(installed.log(), "ready\nhangup\ninterrupt\nterminate\n");
    }
}

#[test]
fn a_signal_that_ends_the_binary_ends_the_launcher() {
    if !has_node() {
        return;
    }
    let binary = "#!/bin/sh\nkill -s TERM $$\n";
    let installed = Installed::new(&[&npm_platform()], Some(binary));
    for means in [Means::Any, Means::Child] {
        let status = installed.run(means, &[]).status;
        assert_eq!(status.signal(), Some(15), "{means:?}: {status}");
    }
}

#[test]
fn a_machine_without_a_binary_is_advised() {
    if !has_node() {
        return;
    }
    let platform = npm_platform();
    for (installed, advice) in [
        (
            Installed::new(&["plan9-mips", "linux-z80"], None),
            format!("there is no binary for {platform}, only for plan9-mips, linux-z80. Build it"),
        ),
        (
            Installed::new(&[&platform], None),
            format!("the package @sessiond/{platform} is missing. Install sessiond again without"),
        ),
    ] {
        let output = installed.run(Means::Any, &[]);
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.starts_with(&format!("sessiond: {advice}")),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
