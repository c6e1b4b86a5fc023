//! What is in the packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use clap::Command;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{VERSION, npm_platform, packages, source, target};

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Unpacks a package and returns the directory with its files.
fn unpack(package: &Path) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = if is_wheel(package) {
        let mut command = process::Command::new("python3");
        command
            .args(["-m", "zipfile", "-e"])
            .arg(package)
            .arg(directory.path());
        command
    } else {
        let mut command = process::Command::new("tar");
        command
            .arg("-xzf")
            .arg(package)
            .arg("-C")
            .arg(directory.path());
        command.arg("--strip-components=1");
        command
    };
    let status = command.status().expect("it can be started");
    assert!(status.success(), "{} is unpacked", package.display());
    directory
}

/// Returns the path of the only wheel.
fn wheel(packages: &Path) -> PathBuf {
    let files = names(packages).into_iter().map(|name| packages.join(name));
    let wheels: Vec<_> = files.filter(|it| is_wheel(it)).collect();
    let [wheel] = wheels.try_into().expect("one wheel");
    wheel
}

fn is_wheel(file: &Path) -> bool {
    file.extension().is_some_and(|it| it == "whl")
}

fn tarball(packages: &Path) -> PathBuf {
    packages.join(format!("sessiond-{VERSION}-{}.tar.gz", target()))
}

fn npm_package(packages: &Path, rest: &str) -> PathBuf {
    packages.join(format!("sessiond-{rest}{VERSION}.tgz"))
}

/// An unpacked package, with the paths of files in it.
struct Unpacked {
    directory: TempDir,
    binary: Option<String>,
    /// The directory of the licences.
    licences: String,
}

impl Unpacked {
    fn new(package: &Path, binary: Option<&str>) -> Self {
        Self {
            directory: unpack(package),
            binary: binary.map(str::to_owned),
            licences: String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Returns all packages, unpacked.
fn unpacked(packages: &Path) -> [Unpacked; 4] {
    let platform = format!("{}-", npm_platform());
    let script = format!("sessiond-{VERSION}.data/scripts/sessiond");
    let of_python = Unpacked {
        licences: format!("sessiond-{VERSION}.dist-info/licenses"),
        ..Unpacked::new(&wheel(packages), Some(&script))
    };
    [
        Unpacked::new(&tarball(packages), Some("sessiond")),
        Unpacked::new(&npm_package(packages, ""), None),
        Unpacked::new(&npm_package(packages, &platform), Some("bin/sessiond")),
        of_python,
    ]
}

#[test]
fn every_file_has_its_checksum() {
    let Some(packages) = packages() else { return };
    let sums = read(&packages.join("SHA256SUMS"));
    let listed: BTreeSet<_> = sums
        .lines()
        .map(|line| line.split_once("  ").expect("a checksum and a name"))
        .map(|(sum, name)| {
            let content = fs::read(packages.join(name)).expect("a listed file exists");
            assert_eq!(sum, hex::encode(Sha256::digest(content)), "{name}");
            name.to_owned()
        })
        .collect();
    let mut files = names(&packages);
    assert!(files.remove("SHA256SUMS"));
    assert_eq!(listed, files);
    assert_eq!(files.len(), 5, "{files:?}");
}

#[test]
fn the_packages_have_the_same_binary_and_the_licences() {
    let Some(packages) = packages() else { return };
    let mut binaries = BTreeSet::new();
    for package in unpacked(&packages) {
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let licences = package.path(&package.licences);
            assert_eq!(read(&licences.join(licence)), read(&source(licence)));
        }
        let binary = package.binary.as_deref().map(|it| package.path(it));
        binaries.extend(binary.map(|it| Sha256::digest(fs::read(it).expect("a binary")).to_vec()));
    }
    assert_eq!(binaries.len(), 1);
}

#[test]
fn the_packages_have_the_version_of_the_program() {
    let Some(packages) = packages() else { return };
    let [tarball, launcher, platform, wheel] = unpacked(&packages);
    let printed = process::Command::new(tarball.path("sessiond"))
        .arg("--version")
        .output();
    let printed = printed.expect("the binary runs").stdout;
    assert_eq!(printed, format!("sessiond {VERSION}\n").as_bytes());
    let page = read(&tarball.path("man/sessiond.1"));
    assert!(page.contains(&format!("\"sessiond {VERSION}\"")), "{page}");

    let [launcher, platform] = [launcher, platform].map(|package| {
        let package = read(&package.path("package.json"));
        serde_json::from_str::<Value>(&package).expect("JSON")
    });
    for (package, name) in [
        (&launcher, "sessiond".to_owned()),
        (&platform, format!("@sessiond/{}", npm_platform())),
    ] {
        assert_eq!(package["name"], name);
        assert_eq!(package["version"], VERSION, "{name}");
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
    }
    // Another version of the binary would not be what was tested.
    let binaries = launcher["optionalDependencies"].as_object().expect("names");
    let names: Vec<_> = binaries
        .keys()
        .map(|it| it.replace("@sessiond/", ""))
        .collect();
    assert_eq!(
        names,
        ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"]
    );
    assert!(
        binaries.values().all(|version| version == VERSION),
        "{binaries:?}"
    );

    let metadata = read(&wheel.path(&format!("sessiond-{VERSION}.dist-info/METADATA")));
    assert!(
        metadata.contains(&format!("\nVersion: {VERSION}\n")),
        "{metadata}"
    );
}

#[test]
fn the_tarball_has_a_page_for_each_command_and_completions_for_each_shell() {
    let Some(packages) = packages() else { return };
    let tarball = unpack(&tarball(&packages));
    let pages = tarball.path().join("man");
    let mut program = sessiond::cli::command();
    program.build();
    let commands = program.get_subcommands().filter(|it| !it.is_hide_set());
    for command in commands.map(Command::get_name).filter(|it| *it != "help") {
        let page = read(&pages.join(format!("sessiond-{command}.1")));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    let completions = tarball.path().join("completions");
    let files = [
        "_sessiond",
        "_sessiond.ps1",
        "sessiond.bash",
        "sessiond.elv",
        "sessiond.fish",
    ];
    assert_eq!(names(&completions), files.map(str::to_owned).into());
    for file in files {
        assert!(
            read(&completions.join(file)).contains("healthcheck"),
            "{file}"
        );
    }
}

/// The paths of `COPY`, since the image itself is not built here.
#[test]
fn an_image_can_be_built_from_the_tarball() {
    let Some(packages) = packages() else { return };
    let tarball = unpack(&tarball(&packages));
    let file = read(&tarball.path().join("data/Dockerfile"));
    let copies = file.lines().filter_map(|line| line.strip_prefix("COPY "));
    let from_context = copies.filter(|it| !it.contains("--from="));
    let mut sources = Vec::new();
    for copy in from_context {
        let words: Vec<_> = copy
            .split_whitespace()
            .filter(|it| !it.starts_with("--"))
            .collect();
        let (_, from) = words.split_last().expect("a target");
        sources.extend(from.iter().map(|&it| it.to_owned()));
    }
    assert_eq!(sources, ["sessiond"]);
    assert!(sources.iter().all(|it| tarball.path().join(it).is_file()));
    let check = r#"HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["sessiond", "healthcheck", "--live"]"#;
    assert!(file.contains(check), "{file}");
}

/// The name of the wheel says which version of glibc is enough.
#[cfg(target_os = "linux")]
#[test]
fn the_binary_needs_no_symbol_that_is_newer_than_the_promised_glibc() {
    let Some(packages) = packages() else { return };
    let wheel = wheel(&packages);
    let name = wheel
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let (_, promised) = name
        .split_once("-manylinux_")
        .expect("the tag of a platform");
    let mut numbers = promised.split('_').map(|it| it.parse().unwrap_or_default());
    let promised = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    assert_eq!(promised, (2, 28));

    let tarball = unpack(&tarball(&packages));
    let table = process::Command::new("objdump")
        .arg("-T")
        .arg(tarball.path().join("sessiond"))
        .output();
    let table = String::from_utf8(table.expect("objdump can be started").stdout).expect("UTF-8");
    let versions = table.split("GLIBC_").skip(1).map(glibc_version);
    let needed: BTreeSet<_> = versions.collect();
    assert!(needed.len() > 3, "{needed:?}");
    assert!(
        needed.iter().all(|version| *version <= promised),
        "{needed:?}"
    );
}

/// Returns the version, such as 2.28, at the start of a text.
#[cfg(target_os = "linux")]
fn glibc_version(text: &str) -> (u32, u32) {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit());
    let version = &text[..end.unwrap_or(text.len())];
    let mut numbers = version.split('.').map(|it| it.parse().expect("a number"));
    (
        numbers.next().expect("a number"),
        numbers.next().expect("a second number"),
    )
}
