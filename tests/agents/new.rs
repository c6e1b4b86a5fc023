//! `sessiond agents new` with a model, from the outside.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::{StandIn, run_beside};
use crate::support::server::{Builder, Finished, Server as Process};

/// The command with these arguments.
pub(crate) fn command(args: &[&str]) -> Builder {
    let setup = Process::builder().arg("agents").arg("new");
    args.iter().fold(setup, |setup, arg| setup.arg(*arg))
}

pub(crate) fn file(setup: &Builder, name: &str) -> PathBuf {
    setup.data_dir().join("agents").join(name)
}

/// The backend in a file that was written.
pub(crate) fn backend(setup: &Builder, name: &str) -> Value {
    let text = fs::read_to_string(file(setup, name)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    file["settings"]["backend"].clone()
}

/// Asserts that a command failed with this code, that it says this, and that it wrote nothing.
#[track_caller]
pub(crate) fn assert_failed(setup: &Builder, finished: &Finished, code: i32, said: &[&str]) {
    assert_eq!(finished.status.code(), Some(code), "{}", finished.log);
    for part in said {
        assert!(finished.log.contains(part), "{part}: {}", finished.log);
    }
    let written = fs::read_dir(setup.data_dir().join("agents"));
    assert_eq!(written.map_or(0, Iterator::count), 0, "{}", finished.log);
}

fn models() -> Value {
    json!({ "object": "list", "data": [
        { "id": "gemma3:latest", "object": "model", "created": 1, "owned_by": "library" },
        { "id": "llama3.2:3b", "object": "model", "created": 1, "owned_by": "library" },
    ] })
}

/// Answers a request for the models.
async fn list_models(stand_in: &mut StandIn, path: &str) {
    let call = stand_in.next().await;
    assert_eq!((&*call.method, &*call.path), ("GET", path));
    call.answer(200, &models()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_connected_in_one_step_and_answers() {
    let mut stand_in = StandIn::start().await;
    let setup = command(&["Ollie the 2nd", "--model", "gemma3"]);
    let setup = setup.env("OLLAMA_API_ENDPOINT", format!("{}/api", stand_in.url));
    let finished = run_beside(&setup, list_models(&mut stand_in, "/v1/models")).await;
    assert!(finished.status.success(), "{}", finished.log);
    let base = format!("{}/v1", stand_in.url);
    for said in [
        "agents/ollie-the-2nd.json",
        "agent Ollie the 2nd, id ",
        &format!("gemma3:latest at {base}"),
        "start the server with `sessiond`",
        "sessiond agents --probe",
    ] {
        assert!(finished.log.contains(said), "{said}: {}", finished.log);
    }
    let path = file(&setup, "ollie-the-2nd.json");
    assert_eq!(
        backend(&setup, "ollie-the-2nd.json"),
        json!({ "type": "openai", "baseUrl": base, "model": "gemma3:latest" })
    );
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.clone()), 0o600);
    assert_eq!(mode(setup.data_dir().join("agents")), 0o700);
    assert_eq!(mode(setup.data_dir()), 0o700);

    // The server reads the file, and the model answers.
    let text = fs::read_to_string(path).unwrap();
    let server = Server::builder()
        .without_scripted()
        .character_text("ollie.json", &text)
        .start()
        .await;
    let listed = server.get("/api/agents").await.expect(200).body;
    let agent = &listed["data"]["agents"][1];
    assert_eq!(agent["name"], "Ollie the 2nd");
    let session = server.talk_to(agent["id"].as_str().unwrap()).await;
    let asking = server.wait_for(&session, "Hello?");
    let call = stand_in.next().await;
    assert_eq!(call.path, "/v1/chat/completions");
    assert_eq!(call.json()["model"], "gemma3:latest");
    call.complete("Hi.").await;
    let answer = asking.await.unwrap().expect(201);
    assert_eq!(answer.body["agentResponse"]["text"], "Hi.");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_uses_the_new_file_at_a_sighup() {
    let mut stand_in = StandIn::start().await;
    let server = tokio::task::spawn_blocking(|| Process::builder().start());
    let server = server.await.unwrap();
    let base = format!("{}/v1", stand_in.url);
    let setup = command(&["Ollie", "--base-url", &base, "--model", "gemma3:latest"]);
    let setup = setup.env("DATA_DIR", server.data_dir());
    let finished = run_beside(&setup, list_models(&mut stand_in, "/v1/models")).await;
    assert!(finished.status.success(), "{}", finished.log);
    let advice = format!(
        "`kill -HUP {}` has the running server read it",
        server.pid()
    );
    assert!(finished.log.contains(&advice), "{}", finished.log);
    server.signal("HUP");
    let listed = format!("backend=\"openai\" model=\"gemma3:latest\" address=\"{base}\"");
    crate::harness::eventually("the new agent is listed", async || {
        server.log().contains(&listed).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_the_server_does_not_have_is_refused_with_what_it_has() {
    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    for (model, said) in [
        (
            "gema3",
            "has no model \"gema3\"; did you mean gemma3:latest?",
        ),
        (
            "gpt-4o",
            "has no model \"gpt-4o\"; it has gemma3:latest, llama3.2:3b",
        ),
    ] {
        let setup = command(&["Ollie", "--base-url", &base, "--model", model]);
        let finished = run_beside(&setup, list_models(&mut stand_in, "/v1/models")).await;
        assert_failed(&setup, &finished, 1, &[said]);
    }
    let setup = command(&["Ollie", "--base-url", &base, "--model", "m"]);
    let answering = async {
        let call = stand_in.next().await;
        call.answer(200, &json!({ "object": "list", "data": null }))
            .await;
    };
    let finished = run_beside(&setup, answering).await;
    assert_failed(&setup, &finished, 1, &["has no models; load or pull one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_and_a_terminal_the_models_are_listed() {
    let mut stand_in = StandIn::start().await;
    let setup = command(&["Ollie"]).env("OLLAMA_API_ENDPOINT", &stand_in.url);
    let finished = run_beside(&setup, list_models(&mut stand_in, "/v1/models")).await;
    let said = ["gemma3:latest\nllama3.2:3b\n", "--model is missing"];
    assert_failed(&setup, &finished, 2, &said);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_file_or_agent_is_not_changed() {
    let setup = command(&["Ollie", "--backend", "external"]);
    fs::create_dir_all(setup.data_dir().join("agents")).unwrap();
    let path = file(&setup, "ollie.json");
    fs::write(&path, "mine").unwrap();
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.log);
    let said = "ollie.json already exists and was not changed; choose another name";
    assert!(finished.log.contains(said), "{}", finished.log);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

    // Two files of one id would stop the start.
    fs::remove_file(&path).unwrap();
    let other = file(&setup, "other.json");
    fs::write(&other, r#"{"name": "Ollie"}"#).unwrap();
    fs::write(file(&setup, "broken.json"), "{").unwrap();
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.log);
    let said = "other.json already defines the agent \"Ollie\"";
    assert!(finished.log.contains(said), "{}", finished.log);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_list_causes_a_warning() {
    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    let model = &["--model", "any"][..];
    for (args, code) in [(model, 0), (&[], 2)] {
        let args = [&["Ollie", "--base-url", &base], args].concat();
        let setup = command(&args);
        let answering = async {
            let call = stand_in.next().await;
            call.answer_with(404, &[], "404 page not found").await;
        };
        let finished = run_beside(&setup, answering).await;
        assert_eq!(finished.status.code(), Some(code), "{}", finished.log);
        let said = "has no list of models";
        assert!(finished.log.contains(said), "{}", finished.log);
        if code == 0 {
            assert!(
                finished.log.contains("any was not checked"),
                "{}",
                finished.log
            );
            assert_eq!(backend(&setup, "ollie.json")["model"], "any");
        } else {
            assert_failed(&setup, &finished, 2, &["--model is missing"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_path_gets_v1_if_the_list_is_there() {
    let mut stand_in = StandIn::start().await;
    let url = stand_in.url.clone();
    let args = ["Ollie", "--base-url", &url, "--model", "gemma3"];
    let setup = command(&args);
    let finished = run_beside(&setup, list_models(&mut stand_in, "/v1/models")).await;
    assert!(finished.status.success(), "{}", finished.log);
    let base = format!("{url}/v1");
    assert_eq!(backend(&setup, "ollie.json")["baseUrl"], base);

    let setup = command(&args);
    let answering = async {
        let call = stand_in.next().await;
        assert_eq!(call.path, "/v1/models");
        let headers = [("content-type", "text/html")];
        call.answer_with(200, &headers, "<html></html>").await;
        list_models(&mut stand_in, "/models").await;
    };
    let finished = run_beside(&setup, answering).await;
    assert!(finished.status.success(), "{}", finished.log);
    assert_eq!(backend(&setup, "ollie.json")["baseUrl"], url);

    // If it is neither here nor there, the path is asked about.
    let setup = command(&args);
    let answering = async {
        for _ in 0..2 {
            let call = stand_in.next().await;
            let answer = json!({ "error": "Unexpected endpoint" });
            call.answer(200, &answer).await;
        }
    };
    let finished = run_beside(&setup, answering).await;
    assert!(finished.status.success(), "{}", finished.log);
    let said = "should it end in /v1?";
    assert!(finished.log.contains(said), "{}", finished.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_sent_to_its_own_server_and_named_in_the_file() {
    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    let model = ["--model", "gemma3"];
    // No key for this host, the key of the variables, the key of the argument.
    for (set, args, variable) in [
        (
            &[("OPENAI_API_KEY", "sk-1")][..],
            &["--base-url", &base][..],
            None,
        ),
        (
            &[("OPENAI_API_KEY", "sk-1"), ("OPENAI_BASE_URL", &base)],
            &[],
            Some("OPENAI_API_KEY"),
        ),
        (
            &[("OPENAI_API_KEY", "sk-2"), ("MY_KEY", " sk-1 ")],
            &["--base-url", &base, "--api-key-env", "MY_KEY"],
            Some("MY_KEY"),
        ),
    ] {
        let args = [&["Ollie"], args, &model].concat();
        let setup = set.iter().fold(command(&args), |setup, (name, value)| {
            setup.env(*name, *value)
        });
        let answering = async {
            let call = stand_in.next().await;
            let key = call.header("authorization").map(str::to_owned);
            assert_eq!(key.as_deref(), variable.map(|_| "Bearer sk-1"), "{args:?}");
            if key.is_some() {
                call.answer(200, &models()).await;
            } else {
                call.answer(401, &json!({ "error": "no key" })).await;
            }
        };
        let finished = run_beside(&setup, answering).await;
        let Some(variable) = variable else {
            let said = ["401 Unauthorized", "no key", "--api-key-env"];
            assert_failed(&setup, &finished, 1, &said);
            continue;
        };
        assert!(finished.status.success(), "{}", finished.log);
        assert_eq!(backend(&setup, "ollie.json")["apiKeyEnv"], variable);
        let text = fs::read_to_string(file(&setup, "ollie.json")).unwrap();
        assert!(!text.contains("sk-1") && !finished.log.contains("sk-1"));
        let said = format!("set {variable}: the server must be started with it");
        assert!(finished.log.contains(&said), "{}", finished.log);
    }
}

/// The section of the README, with its commands and the file that they write.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_model_of_the_readme_works_as_written() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("## A first model\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let variable = "OLLAMA_API_ENDPOINT=http://127.0.0.1:11434 sessiond\n";
    assert!(section.contains(variable), "{section}");

    let mut stand_in = StandIn::start().await;
    let base = format!("{}/v1", stand_in.url);
    let data_dir = tempfile::tempdir().unwrap();
    let program = "sessiond ";
    let commands: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix(program))
        .collect();
    assert_eq!(commands.len(), 3, "{section}");
    for arguments in commands {
        let setup = Process::builder()
            .env("DATA_DIR", data_dir.path())
            .env("OLLAMA_API_ENDPOINT", &stand_in.url)
            .env("MODEL_API_KEY", "sk-1");
        let arguments = arguments.split(' ');
        // The same but for the address.
        let arguments = arguments.map(|it| {
            if it.starts_with("https://") {
                &base
            } else {
                it
            }
        });
        let setup = arguments.fold(setup, Builder::arg);
        let answering = async {
            // The list of models, or a question to each of the two new agents.
            let call = stand_in.next().await;
            if call.method == "GET" {
                let names = [json!({ "id": "gemma3:latest" }), json!({ "id": "gpt-4o" })];
                call.answer(200, &json!({ "data": names })).await;
            } else {
                call.complete("Hi.").await;
                stand_in.next().await.complete("Hi.").await;
            }
        };
        let finished = run_beside(&setup, answering).await;
        assert!(finished.status.success(), "{}", finished.log);
    }
    let (_, file) = section.split_once("```json\n").unwrap();
    let (file, _) = file.split_once("```").unwrap();
    let file = file.replace("http://127.0.0.1:11434/v1", &base);
    let written = fs::read_to_string(data_dir.path().join("agents/ollie.json")).unwrap();
    assert_eq!(written, file);
}

#[test]
fn wrong_arguments_are_explained() {
    let key = "sk-TOPSECRET";
    let url = "http://127.0.0.1:9/v1";
    for (args, code, said) in [
        (
            &["..."][..],
            2,
            "invalid NAME \"...\": the name has no letter or digit",
        ),
        (
            &["O", "--backend", "gpt"],
            2,
            "[possible values: openai, webhook, elizaos, external]",
        ),
        (
            &["O", "--base-url", "localhost:11434"],
            2,
            "--base-url must be a URL that begins",
        ),
        (
            &["O", "--base-url", "http://u:TOPSECRET@h/v1"],
            2,
            "--api-key-env",
        ),
        (&["O", "--model", " "], 2, "--model is empty"),
        (
            &["O", "--api-key-env", key],
            1,
            "expected the name of a variable",
        ),
        (
            &["O", "--api-key-env", "NO_KEY"],
            1,
            "the variable NO_KEY is not set",
        ),
        (&["O", "--backend", "webhook"], 2, "--base-url is missing"),
        (&["O", "--backend", "elizaos"], 2, "--base-url is missing"),
        (
            &["O", "--backend", "external", "--base-url", url],
            2,
            "has no address",
        ),
        (
            &["O", "--backend", "external", "--model", "m"],
            2,
            "external has no model",
        ),
        (
            &[
                "O",
                "--backend",
                "webhook",
                "--base-url",
                url,
                "--api-key-env",
                "A",
            ],
            2,
            "webhook has no key",
        ),
        (&[], 2, "<NAME>"),
        (&["O", "--base-url", url], 1, "cannot be listed: "),
    ] {
        let setup = command(args);
        let finished = setup.run();
        assert_failed(&setup, &finished, code, &[said]);
        assert!(!finished.log.contains("TOPSECRET"), "{}", finished.log);
    }
    let setup = ["agents", "--probe", "new", "O"]
        .iter()
        .fold(Process::builder(), |setup, arg| setup.arg(*arg));
    let finished = setup.run();
    assert_failed(
        &setup,
        &finished,
        2,
        &["--probe and --json are for `sessiond agents`"],
    );
}
