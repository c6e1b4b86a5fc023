//! `sessiond agents`

use serde_json::{Value, json};

use crate::elizaos::{SESSIONS, make, message, reply};
use crate::stand_in::{AGENT, OTHER, StandIn, character, run_beside};
use crate::support::server::{Builder, Finished, Server as Process};

fn setup(files: &[(&str, Value)]) -> Builder {
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
    let model = json!({
        "type": "openai", "baseUrl": format!("{}/v1", stand_in.url), "model": "gemma",
    });
    let address = format!("gemma  {}/v1  ", stand_in.url);
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
        assert!(lines[1].contains(&address), "{lines:#?}");
        assert!(
            lines[2].contains("webhook") && lines[2].contains("by submit"),
            "{lines:#?}"
        );
        assert_eq!(finished.log.contains("no such key"), !works);
    }
}

/// A finished run of a command, and the JSON on its first line.
async fn probed(setup: &Builder, answering: impl Future<Output = ()>) -> (Finished, Vec<Value>) {
    let finished = run_beside(setup, answering).await;
    let text = finished.log.lines().next().unwrap();
    let listed = serde_json::from_str(text).unwrap_or_else(|_| panic!("{}", finished.log));
    (finished, listed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_in_json_waits_for_the_first_chunk_only() {
    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    let model = json!({ "type": "openai", "baseUrl": format!("{base}?key=secret"), "model": "m" });
    let external = character(OTHER, &json!({ "type": "external" }));
    let files = [("a.json", character(AGENT, &model)), ("b.json", external)];
    let setup = setup(&files).arg("agents").arg("--json");
    let (finished, listed) = probed(&setup, async {}).await;
    assert!(finished.status.success(), "{}", finished.log);
    assert_eq!(
        listed[1],
        json!({
            "id": AGENT, "name": "Agent 1", "backend": "openai", "model": "m", "address": base,
            "ok": null,
        })
    );
    let setup = setup.arg("--probe");
    let answering = async {
        let mut call = stand_in.next().await;
        call.open_stream().await;
        call.delta("I").await;
        // The rest is not waited for.
        call.expect_gone().await;
    };
    let (finished, mut listed) = probed(&setup, answering).await;
    assert!(finished.status.success(), "{}", finished.log);
    for agent in &mut listed[..2] {
        let millis = agent["firstChunkMs"].take();
        assert!(millis.is_u64(), "{agent}");
        agent.as_object_mut().unwrap().remove("firstChunkMs");
    }
    assert_eq!(
        listed,
        [
            json!({
                "id": "b850bc30-45f8-0041-a00a-83df46d8555d", "name": "Eliza", "backend": "eliza",
                "model": null, "address": null, "ok": true,
            }),
            json!({
                "id": AGENT, "name": "Agent 1", "backend": "openai", "model": "m", "address": base,
                "ok": true,
            }),
            json!({
                "id": OTHER, "name": "Agent 2", "backend": "external", "model": null,
                "address": null, "ok": true,
            }),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_in_json_names_the_cause() {
    let mut stand_in = StandIn::start().await;
    let model = |path: &str| {
        json!({
            "type": "openai", "baseUrl": format!("{}{path}", stand_in.url), "timeoutSeconds": 1,
        })
    };
    let files = [
        ("a.json", character(AGENT, &model("/silent"))),
        ("b.json", character(OTHER, &model("/broken"))),
    ];
    let setup = setup(&files).arg("agents").arg("--json").arg("--probe");
    let answering = async {
        let mut silent = Vec::new();
        for _ in 0..2 {
            let call = stand_in.next().await;
            if call.path.starts_with("/silent") {
                silent.push(call);
            } else {
                call.answer(404, &json!({ "error": "model \"m\" not found" }))
                    .await;
            }
        }
        for call in silent {
            call.expect_gone().await;
        }
    };
    let (finished, listed) = probed(&setup, answering).await;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.log);
    assert!(finished.log.contains("2 of 3 agents do not answer"));
    assert_eq!(listed[1]["ok"], false);
    assert_eq!(listed[1]["reason"], "timeout");
    assert_eq!(listed[1]["cause"], "no answer within 1 s");
    assert_eq!(listed[2]["ok"], false);
    assert_eq!(listed[2].get("firstChunkMs"), None);
    let cause = listed[2]["cause"].as_str().unwrap();
    assert!(cause.contains("404 Not Found"), "{cause}");
    assert!(cause.contains("not found"), "{cause}");
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
