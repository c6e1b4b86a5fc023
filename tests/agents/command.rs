//! `sessiond agents`

use serde_json::json;

use crate::elizaos::{SESSIONS, make, message, reply};
use crate::stand_in::{AGENT, OTHER, StandIn, character};
use crate::support::server::{Builder, Server as Process};

fn setup(files: &[(&str, serde_json::Value)]) -> Builder {
    let setup = Process::builder();
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    for (name, file) in files {
        std::fs::write(directory.join(name), file.to_string()).unwrap();
    }
    setup
}

#[test]
fn agents_are_listed_with_their_backends() {
    let external = character(AGENT, &json!({ "type": "external" }));
    let finished = setup(&[("agent.json", external)]).arg("agents").run();
    assert!(finished.status.success(), "{}", finished.log);
    assert_eq!(
        finished.log,
        "Eliza    b850bc30-45f8-0041-a00a-83df46d8555d  eliza\n\
         Agent 1  a6e27000-0000-0000-0000-000000000001  external\n"
    );
}

#[test]
fn an_invalid_file_is_reported() {
    let finished = setup(&[("agent.json", json!({ "name": 7 }))])
        .arg("agents")
        .run();
    assert!(!finished.status.success());
    assert!(finished.log.contains("agent.json:1: "), "{}", finished.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_reports_which_agents_reply() {
    let mut stand_in = StandIn::start().await;
    let model = json!({ "type": "openai", "baseUrl": stand_in.url });
    let hook = json!({ "type": "webhook", "url": stand_in.url });
    let setup = setup(&[
        ("a.json", character(AGENT, &model)),
        ("b.json", character(OTHER, &hook)),
    ]);
    let setup = setup.arg("agents").arg("--probe");
    for works in [true, false] {
        let setup = &setup;
        let finished = std::thread::scope(|scope| {
            let running = scope.spawn(|| setup.run());
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    for _ in 0..2 {
                        let call = stand_in.next().await;
                        if call.path == "/" {
                            call.answer_with(202, &[], "").await;
                        } else if works {
                            call.complete("I am here.").await;
                        } else {
                            call.answer(401, &json!({ "error": "no such key" })).await;
                        }
                    }
                });
            });
            running.join().unwrap()
        });
        assert_eq!(finished.status.success(), works, "{}", finished.log);
        let lines: Vec<_> = finished.log.lines().collect();
        assert!(
            lines[0].contains("eliza") && lines[0].contains("answered in "),
            "{lines:#?}"
        );
        let state = if works {
            "answered in "
        } else {
            "does not answer: it answered 401"
        };
        assert!(
            lines[1].contains("openai") && lines[1].contains(state),
            "{lines:#?}"
        );
        assert!(
            lines[2].contains("webhook") && lines[2].contains("by submit"),
            "{lines:#?}"
        );
        assert_eq!(finished.log.contains("no such key"), !works);
    }
}

/// The remote session of a probe is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_deletes_its_remote_session() {
    let mut stand_in = StandIn::start().await;
    let settings = json!({ "type": "elizaos", "baseUrl": stand_in.url });
    let setup = setup(&[("a.json", character(AGENT, &settings))]);
    let setup = setup.arg("agents").arg("--probe");
    for works in [true, false] {
        let probing = async {
            make(&mut stand_in, "s").await;
            let call = message(&mut stand_in, "s").await;
            if works {
                call.answer(201, &reply("I am here.")).await;
            } else {
                call.answer(500, &json!({ "error": "no" })).await;
            }
            let call = stand_in.next().await;
            assert_eq!(
                (&*call.method, &*call.path),
                ("DELETE", &*format!("{SESSIONS}/s"))
            );
            call.answer(200, &json!({ "success": true })).await;
        };
        let finished = std::thread::scope(|scope| {
            let running = scope.spawn(|| setup.run());
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(probing));
            running.join().unwrap()
        });
        assert_eq!(finished.status.success(), works, "{}", finished.log);
    }
}
