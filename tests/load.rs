//! Runs each scenario of the load generator briefly, against a server that it starts and against a
//! running one.

#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

#[path = "support/process.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod process;
#[path = "support/server.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod server;

/// Returns the path of the load generator. Builds it if this test was selected by name, since cargo
/// then builds no examples.
fn program() -> PathBuf {
    let deps = std::env::current_exe().expect("the path of this test");
    let target = deps.ancestors().nth(2).expect("deps has a parent");
    let name = format!("load{}", std::env::consts::EXE_SUFFIX);
    let program = target.join("examples").join(name);
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "--example", "load"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo can be started").success());
    }
    program
}

fn load(args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args);
    command.output().expect("the load generator can be started")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_scenario_is_measured_with_its_limits() {
    let output = load(&[
        "--json",
        "--seconds=0.2",
        "--rounds=1",
        "--connections=2",
        "--sessions=10",
        "--messages=60",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    let outcomes = report["scenarios"].as_array().expect("a list of outcomes");
    let names: Vec<_> = outcomes
        .iter()
        .map(|one| one["scenario"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "create",
            "get",
            "heartbeat",
            "single",
            "send",
            "list",
            "mixed"
        ]
    );
    for outcome in outcomes {
        assert!(
            outcome["ours"]["perSecond"].as_f64().unwrap() > 0.0,
            "{outcome}"
        );
        assert!(
            outcome["ours"]["p999"].as_f64() >= outcome["ours"]["p50"].as_f64(),
            "{outcome}"
        );
        assert_eq!(
            outcome["ours"]["errors"],
            serde_json::json!({}),
            "{outcome}"
        );
        assert!(outcome["share"].as_f64().unwrap() > 0.0, "{outcome}");
        let writes = !["get", "list"].contains(&outcome["scenario"].as_str().unwrap());
        assert_eq!(outcome["inSyncs"].is_number(), writes, "{outcome}");
        // Floors apply only to the scenarios' own numbers of connections.
        assert_eq!(outcome["floor"], Value::Null, "{outcome}");
    }
}

#[test]
fn shares_are_compared_with_their_floors() {
    for (scenario, floor) in [
        ("get", 0.65),
        ("list", 0.33),
        ("heartbeat", 0.35),
        ("create", 0.25),
        ("send", 0.08),
    ] {
        let output = load(&[
            "--json",
            "--seconds=0.5",
            "--rounds=1",
            "--sessions=10",
            "--messages=60",
            "--scenario",
            scenario,
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
        let outcome = &report["scenarios"][0];
        assert_eq!(outcome["floor"], floor, "{outcome}");
        let share = outcome["share"].as_f64().unwrap();
        assert_eq!(outcome["met"], share >= floor, "{outcome}");
    }
}

#[test]
fn a_running_server_is_measured_with_its_token() {
    let server = server::Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", "the-token-of-the-load-test")
        .start();
    let common = [
        "--url",
        server.url(),
        "--scenario=get",
        "--seconds=0.1",
        "--rounds=1",
    ];
    let refused = load(&[&common[..], &["--json"]].concat());
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("--token"), "{}", stderr(&refused));

    let token = [
        "--token",
        "the-token-of-the-load-test",
        "--sessions=10",
        "--no-limits",
    ];
    let measured = load(&[&common[..], &token[..]].concat());
    assert!(measured.status.success(), "{}", stderr(&measured));
    assert!(
        String::from_utf8_lossy(&measured.stdout).contains("\nget "),
        "{measured:?}"
    );

    let unknown_agent = ["--agent", "00000000-0000-0000-0000-000000000001"];
    let refused = load(&[&common[..], &token[..], &unknown_agent[..]].concat());
    assert!(
        stderr(&refused).contains("has no agent"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn a_search_is_measured_through_all_messages() {
    let output = load(&[
        "--json",
        "--scenario=search",
        "--messages=200",
        "--rounds=1",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    assert_eq!(report["messages"], 200, "{report}");
    let searches = report["searches"].as_array().expect("a list of searches");
    assert_eq!(searches.len(), 3);
    for search in searches {
        assert!(search["perSecond"].as_f64().unwrap() > 0.0, "{search}");
        assert_eq!(search["calls"], 1.0, "{search}");
    }
}

#[test]
fn errors_are_explained() {
    for (args, words) in [
        (["--url", "http://127.0.0.1:1"], "no server answers at"),
        (["--url", "https://example.org"], "must be http://HOST:PORT"),
        (["--scenario", "dance"], "there is no scenario"),
    ] {
        let output = load(&args);
        assert!(!output.status.success(), "{args:?}");
        assert!(
            stderr(&output).contains(words),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn sends_and_their_cancels_are_measured() {
    let output = load(&[
        "--json",
        "--scenario=cancel",
        "--seconds=0.2",
        "--rounds=1",
        "--connections=2",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    for operation in ["send", "cancel"] {
        let measured = &report[operation];
        assert!(measured["perSecond"].as_f64().unwrap() > 0.0, "{report}");
        assert!(measured["p50"].as_f64().unwrap() > 0.0, "{report}");
    }
}
