//! `install.sh`, with a release whose binary is a stand-in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::files::Files;
use super::{find, path_with, source, target, write_script};

/// What the script uses, with one of the two programs for each purpose.
pub(crate) const PROGRAMS: [&str; 15] = [
    "sh",
    "uname",
    "mktemp",
    "tar",
    "gzip",
    "awk",
    "cut",
    "grep",
    "mkdir",
    "mv",
    "rm",
    "cat",
    "curl",
    "sha256sum",
    "shasum",
];

/// The binary of the release.
const NEW: &str = "#!/bin/sh\necho sessiond 1.2.3\n";

/// A machine with a home directory, on which the script is run.
struct Machine {
    home: TempDir,
    path: PathBuf,
}

impl Machine {
    fn new() -> Self {
        Self::with(&PROGRAMS)
    }

    fn with(programs: &[&str]) -> Self {
        let home = TempDir::with_prefix("sessiond-install-").expect("a temporary directory");
        let path = path_with(home.path(), programs);
        Self { home, path }
    }

    /// Returns a machine without some of the programs.
    fn without(missing: &[&str]) -> Self {
        let programs = PROGRAMS.iter().filter(|it| !missing.contains(it));
        Self::with(&programs.copied().collect::<Vec<_>>())
    }

    fn command(&self, url: &str) -> Command {
        self.command_of(&source("data/dist/install.sh"), url)
    }

    fn command_of(&self, script: &Path, url: &str) -> Command {
        let shell = find("sh").expect("every Unix has a shell");
        let mut command = Command::new(shell);
        command.arg(script).env_clear();
        command
            .env("PATH", &self.path)
            .env("HOME", self.home.path());
        command.env("TMPDIR", self.home.path());
        command.env("SESSIOND_DOWNLOAD_URL", url);
        command
    }

    fn install(&self, url: &str) -> Output {
        self.command(url).output().expect("a shell can be started")
    }

    fn binary(&self) -> PathBuf {
        self.home.path().join(".local/bin/sessiond")
    }

    /// Asserts that the script refuses for this reason, and has changed and left nothing.
    fn assert_refuses(&self, url: &str, reason: &str) {
        let old = "#!/bin/sh\necho old\n";
        write_script(&self.binary(), old);
        let output = self.install(url);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains(reason),
            "{message:?} does not say {reason:?}"
        );
        let installed = fs::read_to_string(self.binary()).expect("the old binary");
        assert_eq!(installed, old);
        self.assert_left(&[".local", "path"]);
        let bin = self.home.path().join(".local/bin");
        assert_eq!(names(&bin), ["sessiond"]);
    }

    fn assert_left(&self, left: &[&str]) {
        assert_eq!(names(self.home.path()), left);
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory can be read");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

fn tarball() -> String {
    format!("sessiond-1.2.3-{}.tar.gz", target())
}

/// Returns the files of a release with this binary, beside those of another target.
fn release(binary: &str) -> Files {
    let name = tarball();
    let root = name.strip_suffix(".tar.gz").expect("the name of a tarball");
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_script(&directory.path().join(root).join("sessiond"), binary);
    let packed = Command::new("tar")
        .args(["-czf", &name, root])
        .current_dir(directory.path())
        .status()
        .expect("tar can be started");
    assert!(packed.success(), "the tarball is written");
    let packed = fs::read(directory.path().join(&name)).expect("the tarball");
    let hash = hex::encode(Sha256::digest(&packed));
    let sums = format!("00ff  sessiond-1.2.3-riscv64-unknown-linux-gnu.tar.gz\n{hash}  {name}\n");
    let contents = [(name, packed), ("SHA256SUMS".to_owned(), sums.into_bytes())];
    Files {
        contents: contents.into(),
        ..Files::default()
    }
}

#[test]
fn the_binary_is_installed_for_the_user() {
    let machine = Machine::new();
    // A slash at the end is a matter of taste.
    let output = machine.install(&(release(NEW).serve() + "/"));
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bin = machine.home.path().join(".local/bin");
    assert!(said.contains("sessiond 1.2.3 is installed"), "{said}");
    let hint = format!(r#"export PATH="{}:$PATH""#, bin.display());
    assert!(said.contains(&hint), "{said}");
    let version = Command::new(machine.binary()).output().expect("it runs");
    assert_eq!(text(&version.stdout), "sessiond 1.2.3\n");
    machine.assert_left(&[".local", "path"]);
    assert_eq!(names(&bin), ["sessiond"]);
}

#[test]
fn an_update_replaces_the_binary_below_the_prefix() {
    let machine = Machine::new();
    let prefix = machine.home.path().join("a prefix");
    let binary = prefix.join("bin/sessiond");
    write_script(&binary, "#!/bin/sh\necho old\n");
    let path = format!(
        "{}:{}",
        machine.path.display(),
        prefix.join("bin").display()
    );
    let mut command = machine.command(&release(NEW).serve());
    let output = command.env("PREFIX", &prefix).env("PATH", path).output();
    let output = output.expect("a shell can be started");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&binary).expect("the binary"), NEW);
    let said = text(&output.stdout);
    assert_eq!(said.lines().count(), 1, "the directory is in PATH: {said}");
    assert!(!machine.binary().exists(), "only the prefix has it");
}

#[test]
fn wget_is_enough_to_download() {
    if find("wget").is_none() {
        eprintln!("test skipped: there is no wget on this machine");
        return;
    }
    let programs: Vec<_> = PROGRAMS
        .map(|it| if it == "curl" { "wget" } else { it })
        .into();
    let output = Machine::with(&programs).install(&release(NEW).serve());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut files = release(NEW);
    files.cut = Some(tarball());
    Machine::with(&programs).assert_refuses(&files.serve(), "cannot be downloaded completely");
    let mut files = release(NEW);
    files.is_moved = true;
    Machine::with(&programs).assert_refuses(&files.serve(), "does not begin with https://");
}

#[test]
fn a_redirect_to_plain_http_is_not_followed() {
    let mut files = release(NEW);
    files.is_moved = true;
    Machine::new().assert_refuses(&files.serve(), "cannot be downloaded completely");
}

#[test]
fn a_changed_tarball_is_refused() {
    let mut files = release(NEW);
    let mut changed = release("#!/bin/sh\necho sessiond 6.6.6\n");
    let tarball = tarball();
    let changed = changed.contents.remove(&tarball).expect("a tarball");
    files.contents.insert(tarball, changed);
    Machine::new().assert_refuses(&files.serve(), "but SHA256SUMS says");
}

#[test]
fn a_partial_download_is_refused() {
    for file in [tarball(), "SHA256SUMS".to_owned()] {
        let mut files = release(NEW);
        files.cut = Some(file);
        Machine::new().assert_refuses(&files.serve(), "cannot be downloaded completely");
    }
}

#[test]
fn a_release_that_is_not_complete_is_refused() {
    let mut files = release(NEW);
    files.contents.remove(&tarball());
    Machine::new().assert_refuses(&files.serve(), "cannot be downloaded completely");

    let mut files = release(NEW);
    let other = b"00ff  sessiond-1.2.3-riscv64-unknown-linux-gnu.tar.gz\n".to_vec();
    files.contents.insert("SHA256SUMS".to_owned(), other);
    let reason = format!("SHA256SUMS does not list one file for {}", target());
    Machine::new().assert_refuses(&files.serve(), &reason);

    // Neither a path nor an option of a program can come from there.
    for name in ["../sessiond-1", "sessiond-1 -C /", "sessiond-$(id)"] {
        let mut files = release(NEW);
        let line = format!("00ff  {name}-{}.tar.gz\n", target());
        files
            .contents
            .insert("SHA256SUMS".to_owned(), line.into_bytes());
        Machine::new().assert_refuses(&files.serve(), &reason);
    }
}

#[test]
fn a_tarball_without_the_binary_is_refused() {
    let mut files = release(NEW);
    let content = b"not a tarball".to_vec();
    let sums = format!("{}  {}\n", hex::encode(Sha256::digest(&content)), tarball());
    files.contents.insert(tarball(), content);
    files
        .contents
        .insert("SHA256SUMS".to_owned(), sums.into_bytes());
    Machine::new().assert_refuses(&files.serve(), "does not contain sessiond");
}

#[test]
fn a_failed_download_leaves_no_directory() {
    let mut files = release(NEW);
    files.contents.remove(&tarball());
    let machine = Machine::new();
    assert_eq!(machine.install(&files.serve()).status.code(), Some(1));
    machine.assert_left(&["path"]);
}

#[test]
fn a_relative_prefix_is_below_the_working_directory() {
    let machine = Machine::new();
    let mut command = machine.command(&release(NEW).serve());
    command
        .env("PREFIX", "a `id` b")
        .current_dir(machine.home.path());
    let output = command.output().expect("a shell can be started");
    let said = text(&output.stdout);
    let bin = machine.home.path().join("a `id` b/bin");
    assert!(bin.join("sessiond").exists(), "{said}");
    assert!(
        said.contains(&format!("{} is not in PATH", bin.display())),
        "{said}"
    );
    assert!(!said.contains("export"), "a shell would run it: {said}");
}

#[test]
fn a_binary_that_does_not_run_is_not_installed() {
    let files = release("#!/bin/sh\nexit 1\n");
    Machine::new().assert_refuses(&files.serve(), "does not run on this machine");
}

#[test]
fn the_address_must_be_set_and_safe() {
    for url in ["https://h/v1?a=b", "https://h/v1#a"] {
        Machine::new().assert_refuses(url, "expected the address of a directory");
    }
    let expected = "SESSIOND_DOWNLOAD_URL is not set: expected the address";
    Machine::new().assert_refuses("", expected);
    for url in [
        "http://example.org",
        "http://127.0.0.1.example.org",
        "ftp://h",
        "releases",
    ] {
        Machine::new().assert_refuses(url, "expected an address that begins with https://");
    }
    for url in [
        "http://127.0.0.1:80@example.org",
        "https://h:x@example.org/releases",
    ] {
        Machine::new().assert_refuses(url, "expected an address without user information");
    }
}

#[test]
fn a_directory_in_the_way_is_named() {
    let machine = Machine::new();
    fs::create_dir_all(machine.binary()).expect("a directory");
    let output = machine.install(&release(NEW).serve());
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    let named = format!("{} is a directory", machine.binary().display());
    assert!(message.contains(&named), "{message}");
    assert!(names(&machine.binary()).is_empty());

    let machine = Machine::new();
    fs::write(machine.home.path().join(".local"), "").expect("a file");
    let output = machine.install(&release(NEW).serve());
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("set PREFIX to another directory"),
        "{message}"
    );
}

#[test]
fn an_unsupported_machine_is_refused() {
    for (system, processor) in [("FreeBSD", "x86_64"), ("Linux", "riscv64")] {
        let machine = Machine::without(&["uname"]);
        let uname = format!("#!/bin/sh\n[ \"$1\" = -s ] && echo {system} || echo {processor}\n");
        write_script(&machine.path.join("uname"), &uname);
        let reason = format!("there is no binary for {system} on {processor}");
        machine.assert_refuses(&release(NEW).serve(), &reason);
    }
}

#[test]
fn a_missing_program_is_named() {
    let url = release(NEW).serve();
    for (missing, reason) in [
        (vec!["tar"], "tar is not installed"),
        (vec!["curl"], "neither curl nor wget is installed"),
        (
            vec!["sha256sum", "shasum"],
            "neither sha256sum nor shasum is installed",
        ),
    ] {
        Machine::without(&missing).assert_refuses(&url, reason);
    }
}

#[test]
fn a_script_that_arrived_in_part_does_nothing() {
    let script = fs::read_to_string(source("data/dist/install.sh")).expect("the script");
    let url = release(NEW).serve();
    let machine = Machine::new();
    let part = machine.home.path().join("part.sh");
    let call = script.find("\nmain \"$@\"").expect("the call at the end");
    for end in (0..call).step_by(97).chain(call..call + "\nmai".len()) {
        fs::write(&part, &script.as_bytes()[..end]).expect("a file can be written");
        let output = machine.command_of(&part, &url).output();
        let output = output.expect("a shell can be started");
        assert!(
            !machine.binary().exists(),
            "{end}: {}",
            text(&output.stdout)
        );
    }
}
