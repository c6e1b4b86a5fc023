//! The packages of a release: what is in them, how they are installed, and that what they install
//! answers.
//!
//! `SESSIOND_PACKAGES` names the directory that `data/dist/build` wrote. Without it, the tests of
//! the packages themselves say so and pass; those of `install.sh` and of the npm launcher use
//! stand-ins for the binary.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]
#![allow(
    clippy::print_stderr,
    reason = "the test harness shows it when the test has failed"
)]

#[path = "dist/client.rs"]
mod client;
#[path = "dist/contents.rs"]
mod contents;
#[path = "dist/files.rs"]
mod files;
#[path = "dist/install_script.rs"]
mod install_script;
#[path = "dist/installed.rs"]
mod installed;
#[path = "dist/launcher.rs"]
mod launcher;
mod support;

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of the packages, relative to that of the sources.
const PACKAGES: &str = "SESSIOND_PACKAGES";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the path of a file of the sources.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the directory of the packages, if it is named.
fn packages() -> Option<PathBuf> {
    let directory = env::var_os(PACKAGES).filter(|directory| !directory.is_empty());
    if directory.is_none() {
        eprintln!("test skipped: {PACKAGES} does not name the directory of the packages");
    }
    Some(source("").join(directory?))
}

/// Returns the target of this machine's packages.
fn target() -> String {
    let system = match env::consts::OS {
        "macos" => "apple-darwin",
        _ => "unknown-linux-gnu",
    };
    format!("{}-{system}", env::consts::ARCH)
}

/// Returns what npm calls this machine's platform.
fn npm_platform() -> String {
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "x64",
    };
    format!("{system}-{processor}")
}

/// Creates a directory with only these programs: a `PATH` of a machine without all others.
fn path_with(directory: &Path, programs: &[&str]) -> PathBuf {
    let path = directory.join("path");
    fs::create_dir(&path).expect("a new directory");
    for program in programs {
        if let Some(found) = find(program) {
            symlink(found, path.join(program)).expect("a new link");
        }
    }
    path
}

/// Returns the path of a program.
fn find(program: &str) -> Option<PathBuf> {
    // `python3` may be a script that looks for the real one.
    if program == "python3" {
        let output = Command::new(program)
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let output = String::from_utf8(output.ok()?.stdout).ok()?;
        return Some(output.trim().into());
    }
    let directories = env::var_os("PATH")?;
    let mut candidates = env::split_paths(&directories).map(|it| it.join(program));
    candidates.find(|candidate| candidate.is_file())
}

fn write_script(file: &Path, script: &str) {
    let directory = file.parent().expect("the file is in a directory");
    fs::create_dir_all(directory).expect("a directory can be created");
    fs::write(file, script).expect("a file can be written");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
