//! What never imports what, read from the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// A part of the sources, and what must not stand in it.
struct Rule {
    part: &'static str,
    but: &'static [&'static str],
    never: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        part: "domain",
        but: &[],
        never: &[
            "crate::agents",
            "crate::app",
            "crate::guard",
            "crate::cli",
            "crate::clock",
            "crate::config",
            "crate::events",
            "crate::api",
            "crate::realtime",
            "crate::store",
            "crate::wire",
            "tokio",
            "redb",
            "bincode",
            "tracing::",
            "Utc::now",
            "new_v4",
            "new_v7",
        ],
    },
    Rule {
        part: "store",
        but: &[],
        never: &[
            "axum",
            "engineioxide",
            "crate::app",
            "crate::agents",
            "crate::api",
            "crate::realtime",
            "crate::wire",
        ],
    },
    Rule {
        part: "api",
        but: &[],
        never: &[
            "crate::realtime",
            "crate::store",
            "crate::agents",
            "crate::config",
            "redb::",
        ],
    },
    Rule {
        part: "realtime",
        but: &[],
        never: &[
            "crate::api",
            "crate::store",
            "crate::agents",
            "crate::config",
            "redb",
        ],
    },
    Rule {
        part: "agents",
        but: &[],
        never: &["crate::store", "crate::api", "crate::app"],
    },
    Rule {
        part: "events.rs",
        but: &[],
        never: &["crate::store", "crate::api", "crate::app"],
    },
    Rule {
        part: "metrics",
        but: &[],
        never: &[
            "crate::store",
            "crate::api",
            "crate::app",
            "crate::realtime",
        ],
    },
    Rule {
        part: "console",
        but: &[],
        never: &["crate::"],
    },
    Rule {
        part: "archive",
        but: &[],
        never: &["crate::api", "crate::app", "crate::store", "redb"],
    },
    Rule {
        part: "wire.rs",
        but: &[],
        never: &["crate::api", "crate::realtime", "crate::store"],
    },
    Rule {
        part: "wire",
        but: &[],
        never: &[
            "crate::app",
            "crate::api",
            "crate::realtime",
            "crate::store",
        ],
    },
    Rule {
        part: "",
        but: &["store"],
        never: &["redb::", "use redb"],
    },
    Rule {
        part: "",
        but: &["store/record.rs"],
        never: &["use bincode", "bincode::"],
    },
    Rule {
        part: "",
        but: &["cli", "config", "run.rs", "telemetry.rs"],
        never: &["crate::config"],
    },
];

#[test]
fn the_parts_of_the_crate_know_only_what_they_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for rule in RULES {
        let files = sources(&root.join(rule.part));
        assert!(!files.is_empty(), "there is no {}", rule.part);
        for file in files {
            let name = file
                .strip_prefix(&root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let is_test = name.contains("_tests.rs") || name.contains("tests/");
            if is_test || rule.but.iter().any(|but| name.starts_with(but)) {
                continue;
            }
            faults.extend(broken(rule, &name, &fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn broken(rule: &Rule, name: &str, text: &str) -> Vec<String> {
    // What a comment or a file's own tests say binds nobody.
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|(index, line)| {
            let found = rule.never.iter().filter(move |word| line.contains(**word));
            found.map(move |word| format!("src/{name}:{}: {word}", index + 1))
        })
        .collect()
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
