//! The layers of the crate, read from the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules, from the ground up. A module imports from the floors below its own.
const FLOORS: &[&[&str]] = &[
    &["domain"],
    &["clock", "events", "json"],
    &["metrics"],
    &["telemetry"],
    &["archive", "message_json", "process"],
    &["store"],
    &["agents"],
    &["auth"],
    &["app", "connections"],
    &[
        "client_events",
        "console",
        "janitor",
        "space",
        "verification",
    ],
    &["api"],
    &["realtime"],
    &["transport"],
    &["settings"],
    &["server"],
    &["cli"],
];

/// Libraries that one module alone knows, and those that a module must not know.
const LIBRARIES: &[(&str, Knows)] = &[
    ("redb", Knows::Only(&["store"])),
    ("bincode", Knows::Only(&["store"])),
    ("clap", Knows::Only(&["cli", "settings"])),
    (
        "axum",
        Knows::Not(&[
            "agents",
            "app",
            "clock",
            "connections",
            "domain",
            "events",
            "json",
            "store",
        ]),
    ),
    (
        "hyper",
        Knows::Only(&["agents", "api", "cli", "realtime", "transport"]),
    ),
    ("engineioxide", Knows::Only(&["realtime"])),
    ("prometheus_client", Knows::Only(&["metrics", "domain"])),
    ("serde_json", Knows::Not(&["app", "domain"])),
    ("tokio", Knows::Not(&["domain"])),
    ("tracing", Knows::Not(&["domain"])),
];

/// Which modules know a library.
enum Knows {
    /// These alone.
    Only(&'static [&'static str]),
    /// All but these.
    Not(&'static [&'static str]),
}

/// A source file without its comments and its tests.
struct Source {
    /// Its path below `src`.
    name: String,
    /// The module at the top of the crate that it belongs to.
    module: String,
    code: String,
}

#[test]
fn a_module_imports_only_from_the_floors_below() {
    let mut faults = Vec::new();
    assert!(sources().count() > 100, "the sources are not found");
    for source in sources() {
        let floor = floor(&source.module);
        for imported in imported(&source.code) {
            let is_below = self::floor(&imported) < floor;
            if imported != source.module && !is_below {
                faults.push(format!("src/{} imports crate::{imported}", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_map_in_lib_rs_has_every_module_in_the_order_of_the_floors() {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let map = text.lines().filter_map(|line| line.strip_prefix("//! - "));
    let mapped: Vec<Vec<String>> = map
        .map(|line| {
            let names = line.split(':').next().unwrap_or_default();
            names
                .split(", ")
                .map(|name| name.trim_matches(['[', ']', '`']).to_owned())
                .collect()
        })
        .collect();
    assert_eq!(mapped, FLOORS);
}

#[test]
fn a_library_is_known_only_where_it_may_be() {
    let mut faults = Vec::new();
    for source in sources() {
        for (library, knows) in LIBRARIES {
            let may = match knows {
                Knows::Only(modules) => modules.contains(&&*source.module),
                Knows::Not(modules) => !modules.contains(&&*source.module),
            };
            let is_used = source.code.contains(&format!("use {library}::"))
                || names_before("::", &source.code).any(|name| name == *library);
            if is_used && !may {
                faults.push(format!("src/{} knows {library}", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_clock_and_the_ids_ask_for_time_and_chance() {
    let domain = sources().filter(|source| source.module == "domain");
    for source in domain {
        for word in [
            "Utc::now",
            "SystemTime::now",
            "Instant::now",
            "new_v4",
            "new_v7",
        ] {
            assert!(!source.code.contains(word), "src/{}: {word}", source.name);
        }
    }
}

/// Returns the floor of a module. There is no module without one.
fn floor(module: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.unwrap_or_else(|| panic!("{module} has no floor: give it one"))
}

/// Returns the modules that code imports or names.
fn imported(code: &str) -> impl Iterator<Item = String> {
    let paths = code.split("crate::").skip(1);
    let groups = paths.map(|path| match path.strip_prefix('{') {
        Some(group) => group.split('}').next().unwrap_or_default(),
        None => path
            .split_terminator(|it| !is_of_name(it))
            .next()
            .unwrap_or_default(),
    });
    let names = groups.flat_map(|group| group.split(','));
    let names = names.map(|name| {
        name.trim()
            .chars()
            .take_while(|&it| is_of_name(it))
            .collect()
    });
    names.filter(|name: &String| !name.is_empty())
}

/// Returns the names that stand before a suffix, at the beginning of a path.
fn names_before<'a>(suffix: &'a str, code: &'a str) -> impl Iterator<Item = &'a str> {
    code.split(suffix).filter_map(|part| {
        let start = part.rfind(|it| !is_of_name(it)).map_or(0, |at| at + 1);
        let (before, name) = part.split_at_checked(start)?;
        (!before.is_empty() && !name.is_empty()).then_some(name)
    })
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the sources of the crate, but for those of tests and fuzzers.
fn sources() -> impl Iterator<Item = Source> {
    let root = root();
    let files = files(&root).into_iter();
    files.filter_map(move |file| {
        let name = file.strip_prefix(&root).unwrap_or(&file);
        let name = name.to_string_lossy().into_owned();
        let is_other = ["tests", "fuzzing.rs", "lib.rs", "main.rs"];
        if is_other.iter().any(|other| name.contains(other)) {
            return None;
        }
        let module = name.split(['/', '.']).next().unwrap_or_default().to_owned();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        // The tests of a file stand at its end.
        let text = text.split("\nmod tests {").next().unwrap_or_default();
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        Some(Source { name, module, code })
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
