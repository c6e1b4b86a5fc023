//! The dashboard and the alerts in `data/` match the server's metrics, and Prometheus accepts them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::support::node::{self, run};

const LIMIT: Duration = Duration::from_mins(1);

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(data(name)).expect("a file of the project")
}

/// Returns the names of metrics of this server in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    words.filter(|word| word.starts_with("sessiond_")).collect()
}

/// Returns the name of a metric without the part of a histogram.
fn family(name: &str) -> &str {
    let parts = ["_bucket", "_count", "_sum"];
    parts
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .unwrap_or(name)
}

/// Returns the expressions of the dashboard's panels.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields
                .get("expr")
                .and_then(Value::as_str)
                .map(str::to_owned);
            own.into_iter()
                .chain(fields.values().flat_map(expressions))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// Returns the expressions as a file of rules, with values for Grafana's variables.
fn as_rules(expressions: &[String]) -> String {
    let mut rules = "groups:\n- name: panels\n  rules:\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        let expression = expression
            .replace("$__rate_interval", "5m")
            .replace("$instance", ".*");
        let quoted = Value::String(expression);
        let _ = writeln!(rules, "  - {{ record: 'panel:{number}', expr: {quoted} }}");
    }
    rules
}

#[test]
fn the_dashboard_and_the_alerts_use_existing_metrics() {
    // The server prints only metrics that have values; another test compares all with this file.
    let known = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/api/snapshots/api__metrics_snapshot__plain.snap");
    let known = fs::read_to_string(known).expect("a file of the project");
    let types = known
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let existing: BTreeSet<_> = types.filter_map(|line| line.split(' ').next()).collect();
    assert!(existing.contains("sessiond_sessions_active"), "{known}");
    for file in [
        "grafana.json",
        "prometheus/alerts.yml",
        "prometheus/alerts_test.yml",
    ] {
        let text = read(file);
        let used = metrics(&text);
        assert!(!used.is_empty(), "{file}");
        let unknown: Vec<_> = used
            .iter()
            .filter(|it| !existing.contains(family(it)))
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn prometheus_accepts_the_alerts_and_the_panels() {
    if Command::new("promtool").arg("--version").output().is_err() {
        return node::skip("there is no promtool on this machine");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    for name in ["alerts.yml", "alerts_test.yml"] {
        let copied = fs::copy(data("prometheus").join(name), directory.path().join(name));
        copied.expect("a file can be copied");
    }
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("JSON");
    let panels = expressions(&dashboard);
    assert!(panels.len() > 20, "{panels:?}");
    let file = directory.path().join("panels.yml");
    fs::write(file, as_rules(&panels)).expect("a file can be written");
    for arguments in [
        &["check", "rules", "alerts.yml", "panels.yml"][..],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        promtool.args(arguments).current_dir(directory.path());
        if let Err(reason) = run(&mut promtool, LIMIT) {
            panic!("{reason}");
        }
    }
}
