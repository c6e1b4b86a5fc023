//! Why an agent does not reply: the reason for clients, and the cause for operators only.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::{AGENT, Call, StandIn, character, client, run_beside, server_with};
use crate::support::server::{Builder, Server as Process};

const KEY: &str = "sk-veryverysecret";
const PROMPT: &str = "My grandmother's recipe needs seven grams of saffron, no less.";
const SYSTEM: &str = "You are the keeper of the seventh seal of the house.";

/// A failure of a model's server.
struct Case {
    name: &'static str,
    reason: &'static str,
    /// What the cause contains.
    cause: &'static str,
}

const CASES: [Case; 8] = [
    Case {
        name: "down",
        reason: "unavailable",
        cause: "cannot connect: Connection refused",
    },
    Case {
        name: "pull",
        reason: "misconfigured",
        cause: "it answered 404 Not Found: model \"gemma\" not found, try pulling it first (type \
                api_error)",
    },
    Case {
        name: "key",
        reason: "misconfigured",
        cause: "it answered 401 Unauthorized: Incorrect API key provided: [key] (type \
                invalid_request_error, code invalid_api_key)",
    },
    Case {
        name: "path",
        reason: "misconfigured",
        cause: "it answered 404 Not Found: 404 page not found; does baseUrl end in /v1?",
    },
    Case {
        name: "crash",
        reason: "unavailable",
        cause: "it answered 500 Internal Server Error: out of memory at '[conversation]' after \
                '[conversation]' (type server_error)",
    },
    Case {
        name: "cut",
        reason: "invalid_reply",
        cause: "the connection failed during its answer",
    },
    Case {
        name: "page",
        reason: "misconfigured",
        cause: "it answered text/html, not JSON or an event stream; does baseUrl end in /v1?",
    },
    Case {
        name: "moved",
        reason: "misconfigured",
        cause: "it answered 302 Found and redirects to https://login.example/here, which is not \
                followed",
    },
];

fn id_of(number: usize) -> String {
    format!("{}{number}", &AGENT[..35])
}

/// Fails in the way that the path names.
async fn fail(mut call: Call) {
    let case = call.path.split('/').nth(1).unwrap_or_default().to_owned();
    match &*case {
        "pull" => {
            let error = json!({ "error": {
                "message": "model \"gemma\" not found, try pulling it first", "type": "api_error",
                "param": null, "code": null,
            } });
            call.answer(404, &error).await;
        }
        "key" => {
            let error = json!({ "error": {
                "message": format!("Incorrect API key provided: {KEY}"),
                "type": "invalid_request_error", "code": "invalid_api_key",
            } });
            call.answer(401, &error).await;
        }
        "path" => {
            let plain = [("content-type", "text/plain")];
            call.answer_with(404, &plain, "404 page not found").await;
        }
        "crash" => {
            let messages = call.json()["messages"].clone();
            let said = messages[1]["content"].as_str().unwrap();
            let system = messages[0]["content"].as_str().unwrap();
            let error = json!({ "error": {
                "message": format!("out of memory at '{said}' after '{system}'"),
                "type": "server_error",
            } });
            call.answer(500, &error).await;
        }
        "cut" => {
            call.open_chunked_stream().await;
            let role = json!({ "choices": [{ "delta": { "role": "assistant" } }] });
            call.write_chunk(&format!("data: {role}\n\n")).await;
        }
        "page" => {
            let html = [("content-type", "text/html; charset=utf-8")];
            call.answer_with(200, &html, "<!doctype html><p>Welcome")
                .await;
        }
        "moved" => {
            let location = [("location", "https://u:p@login.example/here?token=t0ken")];
            call.answer_with(302, &location, "").await;
        }
        other => panic!("a request for {other}"),
    }
}

/// Writes an agent for each case. Nothing listens at the address of the first.
fn with_agents(setup: Builder, url: &str, down: &str) -> Builder {
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    for (number, case) in CASES.iter().enumerate() {
        let base = if number == 0 { down } else { url };
        let backend = json!({
            "type": "openai", "baseUrl": format!("{base}/{}", case.name), "model": "gemma",
            "apiKeyEnv": "MY_KEY", "timeoutSeconds": 4,
        });
        let mut file = character(&id_of(number), &backend);
        file["name"] = case.name.into();
        file["system"] = SYSTEM.into();
        file["bio"] = "".into();
        let path = directory.join(format!("{number}.json"));
        std::fs::write(path, file.to_string()).unwrap();
    }
    setup.env("MY_KEY", KEY)
}

/// Sends a message to an agent, whose turn must fail, and returns the answer.
async fn failure(server: &Process, agent: &str) -> Value {
    let post = async |path: &str, body: Value| {
        let url = server.at(&format!("/api/messaging/sessions{path}"));
        let answer = client().post(url).json(&body).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (_, session) = post("", json!({ "agentId": agent, "userId": AGENT })).await;
    let path = format!("/{}/messages", session["sessionId"].as_str().unwrap());
    let (status, answer) = post(&path, json!({ "content": PROMPT, "transport": "http" })).await;
    assert_eq!(status, 502, "{answer:#}");
    answer
}

fn assert_no_secrets(text: &str) {
    for secret in [
        KEY,
        "saffron",
        "grandmother",
        "seventh seal",
        "t0ken",
        "u:p@",
    ] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_model_has_its_own_cause_for_operators_only() {
    let mut stand_in = StandIn::start().await;
    let url = stand_in.url.clone();
    let down = StandIn::start().await.url.clone();
    let answering = tokio::spawn(async move {
        loop {
            match stand_in.try_next() {
                Some(call) => fail(call).await,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    let setup = with_agents(Process::builder(), &url, &down);
    let server = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();

    let ids: Vec<_> = (0..CASES.len()).map(id_of).collect();
    let answers = join_all(ids.iter().map(|id| failure(&server, id))).await;
    for (case, answer) in CASES.iter().zip(&answers) {
        let details = &answer["details"];
        assert_eq!(details["reason"], case.reason, "{}: {answer:#}", case.name);
        // It has the user's own message, and nothing of the cause.
        let mut error = answer.clone();
        error["details"]["userMessage"].take();
        let error = error.to_string();
        assert_no_secrets(&error);
        let start = case.cause.split(':').next().unwrap();
        assert!(!error.contains(start) && !error.contains(&url), "{error}");
    }

    let states = client().get(server.at("/api/admin/agents")).send().await;
    let states = states.unwrap().text().await.unwrap();
    assert_no_secrets(&states);
    let states: Value = serde_json::from_str(&states).unwrap();
    let states = states["agents"].as_array().unwrap();
    let mut causes = HashSet::new();
    for (id, case) in ids.iter().zip(&CASES) {
        let state = states.iter().find(|it| it["id"] == **id).unwrap();
        let base = if case.name == "down" { &down } else { &url };
        assert_eq!(state["name"], case.name);
        assert_eq!(state["backend"], "openai");
        assert_eq!(state["model"], "gemma");
        assert_eq!(state["address"], format!("{base}/{}", case.name));
        assert_eq!(
            (&state["turns"], &state["failures"]),
            (&json!(1), &json!(1))
        );
        let last = &state["lastFailure"];
        assert_eq!(last["reason"], case.reason);
        let cause = last["cause"].as_str().unwrap();
        assert!(cause.starts_with(case.cause), "{}: {cause}", case.name);
        assert!(causes.insert(cause.to_owned()));
    }

    let log = server.log();
    assert_no_secrets(&log);
    for case in &CASES {
        let name = format!(" name=\"{}\" ", case.name);
        let mut lines = log.lines().filter(|line| line.contains("the agent failed"));
        let line = lines.find(|line| line.contains(&name));
        let line = line.unwrap_or_else(|| panic!("{}:\n{log}", case.name));
        for field in [
            format!("cause={:?}", case.cause)
                .trim_end_matches('"')
                .to_owned(),
            format!("reason=\"{}\"", case.reason),
            "backend=\"openai\" model=\"gemma\" address=\"http://".to_owned(),
            format!("/{}\"", case.name),
        ] {
            assert!(line.contains(&field), "{field}: {line}");
        }
    }

    let setup = with_agents(Process::builder(), &url, &down);
    let setup = setup.arg("agents").arg("--probe").arg("--json");
    let finished = run_beside(&setup, async {}).await;
    assert_eq!(finished.status.code(), Some(1), "{}", finished.log);
    assert_no_secrets(&finished.log);
    let line = finished.log.lines().find(|line| line.starts_with('['));
    let probed: Vec<Value> = serde_json::from_str(line.unwrap()).unwrap();
    for (id, case) in ids.iter().zip(&CASES) {
        let agent = probed.iter().find(|it| it["id"] == **id).unwrap();
        assert_eq!(agent["ok"], false);
        assert_eq!(agent["reason"], case.reason, "{agent:#}");
        let cause = agent["cause"].as_str().unwrap();
        assert!(cause.starts_with(case.cause), "{}: {cause}", case.name);
    }
    answering.abort();
}

/// Returns the reason and the cause of a turn that a backend's server fails in this way.
async fn reason_and_cause(
    server: &Server,
    stand_in: &mut StandIn,
    (status, kind, body): (u16, &str, &str),
) -> (String, String) {
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    call.answer_with(status, &[("content-type", kind)], body)
        .await;
    let answer = asking.await.unwrap().expect(502);
    let agents = server.get("/api/admin/agents").await.expect(200);
    let agents = agents.body["agents"].as_array().unwrap().clone();
    let state = agents.iter().find(|it| it["id"] == AGENT).unwrap();
    let last = &state["lastFailure"];
    assert_eq!(last["reason"], answer.body["details"]["reason"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&last["reason"]), text(&last["cause"]))
}

#[tokio::test]
async fn every_http_backend_classifies_answers() {
    let json = "application/json";
    let html = (200, "text/html", "<p>Welcome");
    let common = [
        (html, "misconfigured", "it answered text/html, not JSON"),
        (
            (200, "text/plain", "OK"),
            "misconfigured",
            "it answered text/plain, not JSON",
        ),
        (
            (200, json, "{\"text\": "),
            "invalid_reply",
            "its answer is not valid",
        ),
        (
            (403, json, "{}"),
            "misconfigured",
            "it answered 403 Forbidden",
        ),
        ((413, json, "{}"), "too_long", "it answered 413 "),
        ((501, json, "{}"), "unavailable", "it answered 501 "),
    ];
    for (kind, address, hint) in [
        ("openai", "baseUrl", "does baseUrl end in /v1?"),
        ("webhook", "url", "is url the address of the webhook?"),
        (
            "elizaos",
            "baseUrl",
            "is baseUrl the address of an ElizaOS server?",
        ),
    ] {
        let mut stand_in = StandIn::start().await;
        let server = server_with(json!({ "type": kind, address: stand_in.url })).await;
        for (answer, reason, cause) in common {
            let found = reason_and_cause(&server, &mut stand_in, answer).await;
            assert_eq!(found.0, reason, "{kind}: {answer:?}: {found:?}");
            assert!(found.1.contains(cause), "{kind}: {answer:?}: {found:?}");
            assert_eq!(
                found.1.ends_with(hint),
                answer.0 == 200 && reason == "misconfigured"
            );
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn an_error_that_is_reported_with_a_success_is_classified_by_its_code() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(json!({ "type": "openai", "baseUrl": stand_in.url })).await;
    let error = |message: &str, code: &str| {
        json!({ "error": { "message": message, "code": code } }).to_string()
    };
    for (body, reason, cause) in [
        (
            error("no", "invalid_api_key"),
            "misconfigured",
            "no (code invalid_api_key)",
        ),
        (
            error("no", "rate_limit_exceeded"),
            "busy",
            "no (code rate_limit_exceeded)",
        ),
        (
            error("no", "content_filter"),
            "refused",
            "no (code content_filter)",
        ),
        (error("no", "429"), "busy", "no (code 429)"),
        (error("no", "mystery"), "unavailable", "no (code mystery)"),
        (
            json!({ "error": "Unexpected endpoint or method. (POST /x)" }).to_string(),
            "misconfigured",
            "Unexpected endpoint or method. (POST /x); does baseUrl end in /v1?",
        ),
    ] {
        let cause = format!("it answered an error: {cause}");
        for (kind, body) in [
            ("application/json", body.clone()),
            ("text/event-stream", format!("data: {body}\n\n")),
        ] {
            let answer = (200, kind, &*body);
            let found = reason_and_cause(&server, &mut stand_in, answer).await;
            assert_eq!(found, (reason.to_owned(), cause.clone()), "{body}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_unavailable() {
    let base = "http://no-such-host.invalid/v1";
    let server = server_with(json!({ "type": "openai", "baseUrl": base })).await;
    let session = server.talk().await;
    let asking = server.wait_for(&session, "Hello?");
    while !asking.is_finished() {
        server.advance(Duration::from_millis(200));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = asking.await.unwrap().expect(502);
    assert_eq!(answer.body["details"]["reason"], "unavailable");
    server.stop().await;
}

#[tokio::test]
async fn https_to_a_server_without_tls_is_misconfigured() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}/v1", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;

        while let Ok((mut stream, _)) = listener.accept().await {
            let refusal = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(refusal).await;
        }
    });
    let server = server_with(json!({ "type": "openai", "baseUrl": base })).await;
    let session = server.talk().await;
    // It is not retried, so the clock need not be moved.
    let answer = server
        .wait_for(&session, "Hello?")
        .await
        .unwrap()
        .expect(502);
    assert_eq!(answer.body["details"]["reason"], "misconfigured");
    let states = server.get("/api/admin/agents").await.expect(200);
    let states = states.body["agents"].to_string();
    assert!(states.contains("cannot connect, TLS failed: "), "{states}");
    plain.abort();
    server.stop().await;
}
