//! What never imports what, read from the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// A part of the sources, and what must not stand in it.
struct Rule {
    part: &'static str,
    but: &'static [&'static str],
    never: &'static [&'static str],
    /// Parts of what must not stand there, which may.
    unless: &'static [&'static str],
}

const RULE: Rule = Rule {
    part: "",
    but: &[],
    never: &[],
    unless: &[],
};

/// What reads and writes JSON knows of the rules alone.
const NOT_FOR_JSON: [&str; 6] = [
    "crate::agents",
    "crate::api",
    "crate::app",
    "crate::realtime",
    "crate::store",
    "crate::wire",
];

const RULES: &[Rule] = &[
    Rule {
        part: "domain",
        never: &[
            "crate::agents",
            "crate::app",
            "crate::guard",
            "crate::cli",
            "crate::clock",
            "crate::settings",
            "crate::events",
            "crate::api",
            "crate::realtime",
            "crate::store",
            "crate::wire",
            "serde_json",
            "tokio",
            "redb",
            "bincode",
            "tracing::",
            "Utc::now",
            "new_v4",
            "new_v7",
        ],
        ..RULE
    },
    Rule {
        part: "store",
        never: &[
            "axum",
            "engineioxide",
            "crate::app",
            "crate::agents",
            "crate::api",
            "crate::realtime",
            "crate::wire",
        ],
        ..RULE
    },
    Rule {
        part: "app",
        never: &["serde_json", "crate::api", "crate::realtime", "axum"],
        ..RULE
    },
    Rule {
        part: "json",
        never: &NOT_FOR_JSON,
        ..RULE
    },
    Rule {
        part: "message_json",
        never: &NOT_FOR_JSON,
        ..RULE
    },
    Rule {
        part: "api",
        never: &[
            "crate::realtime",
            "crate::store",
            "crate::agents",
            "crate::settings",
            "redb::",
        ],
        ..RULE
    },
    Rule {
        part: "realtime",
        never: &[
            "crate::api",
            "crate::store",
            "crate::agents",
            "crate::settings",
            "redb",
        ],
        unless: &["crate::api::dto"],
        ..RULE
    },
    Rule {
        part: "transport",
        never: &[
            "crate::api",
            "crate::app",
            "crate::store",
            "crate::realtime",
            "crate::agents",
            "crate::settings",
        ],
        ..RULE
    },
    Rule {
        part: "connections",
        never: &[
            "crate::api",
            "crate::app",
            "crate::store",
            "crate::realtime",
            "crate::transport",
            "crate::agents",
            "crate::settings",
            "axum",
            "hyper",
        ],
        ..RULE
    },
    Rule {
        part: "agents",
        never: &["crate::store", "crate::api", "crate::app"],
        ..RULE
    },
    Rule {
        part: "events.rs",
        never: &["crate::store", "crate::api", "crate::app"],
        ..RULE
    },
    Rule {
        part: "metrics",
        never: &[
            "crate::store",
            "crate::api",
            "crate::app",
            "crate::realtime",
        ],
        ..RULE
    },
    Rule {
        part: "console",
        never: &["crate::"],
        ..RULE
    },
    Rule {
        part: "archive",
        never: &["crate::api", "crate::app", "crate::store", "redb"],
        ..RULE
    },
    Rule {
        part: "wire.rs",
        never: &["crate::api", "crate::realtime", "crate::store"],
        ..RULE
    },
    Rule {
        part: "wire",
        never: &[
            "crate::app",
            "crate::api",
            "crate::realtime",
            "crate::store",
        ],
        ..RULE
    },
    Rule {
        part: "",
        but: &["store"],
        never: &["redb::", "use redb"],
        ..RULE
    },
    Rule {
        part: "",
        but: &["store/record.rs"],
        never: &["use bincode", "bincode::"],
        ..RULE
    },
    Rule {
        part: "",
        but: &["cli", "config", "run.rs", "telemetry.rs"],
        never: &["crate::settings"],
        ..RULE
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
            let is_test = ["_tests.rs", "/tests.rs", "tests/"]
                .iter()
                .any(|part| name.contains(part));
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
            let allowed = rule.unless.iter();
            let line = allowed.fold(line.to_owned(), |line, word| line.replace(word, ""));
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
