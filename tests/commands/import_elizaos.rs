//! `import --from-elizaos`: into the database, into a running server, and what is refused.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::archive::send;
use super::data::{Home, USER, client, sessiond, succeeded};
use super::elizaos::{Channel, Content, ELIZA, ElizaOs, RULES, START};
use super::support::server::{Builder, Server};

/// An agent of the data directory, which replies by `submit` and so shows its history.
const DESK: &str = "c6f7c0b1-2b1e-4c11-9d38-6a1c0f6b7a52";
const OTHER_USER: &str = "9a6c2f0e-6a53-4f0d-8a30-0c5f3f1d2b77";

const TALK: &str = "4d6f042f-f711-402b-8f0d-bef99f2ecb4d";
const PLANS: &str = "93ec856a-aa46-43f0-990b-514c7e3e9ca1";

/// Returns the id of the message of this number.
fn message(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Returns the id of another channel.
fn channel(number: usize) -> String {
    format!("10000000-0000-4000-8000-{number:012}")
}

/// A channel of a session with its agent Desk. The second message has no reply.
fn talk() -> Channel {
    let metadata = json!({ "plan": "free", "title": "Garden" });
    Channel::of_session(TALK, DESK, USER, &metadata)
        .user(&message(1), USER, START, "My roses are ill.")
        .reply(&message(2), DESK, START, "Give them water.", &message(1))
        .user(&message(3), USER, START + 10, "And the tulips?\u{1b}[2J")
}

/// A direct message of the built-in agent, with a file of the server.
fn plans() -> Channel {
    let participants = [USER, ELIZA];
    let mut plans = Channel::new(PLANS, "Garden \u{1b}plans", &participants, &json!({}))
        .user(&message(11), USER, START, "Look at it.")
        .reply(&message(12), ELIZA, START + 1, "One moment.", &message(11))
        .reply(&message(13), ELIZA, START + 2, "It is 42.", &message(11));
    plans.messages[0]["metadata"]["attachments"] = json!([{ "id": "1", "url": "/media/uploads/1.png", "title": "1.png", "contentType": "image" }]);
    // A notice, not a reply.
    let mut notice = plans.messages[1].clone();
    notice["id"] = message(14).into();
    notice["sourceType"] = "agent_action".into();
    plans.messages.push(notice);
    plans
}

fn content(channels: Vec<Channel>) -> Content {
    Content {
        channels,
        ..Content::default()
    }
}

/// Adds the agent Desk to a data directory.
fn with_desk(builder: Builder) -> Builder {
    let agents = builder.data_dir().join("agents");
    std::fs::create_dir_all(&agents).expect("a directory");
    let backend = json!({ "type": "external", "historyMessages": 40 });
    let desk = json!({ "id": DESK, "name": "Desk", "settings": { "backend": backend } });
    std::fs::write(agents.join("desk.json"), desk.to_string()).expect("a file");
    builder
}

/// Returns an import into the data of a server, which may be stopped.
fn import(home: &std::path::Path, url: &str, options: &[&str]) -> Command {
    let arguments = [&["import", "--from-elizaos", url], options].concat();
    let mut command = sessiond(home, &arguments);
    command.env("DATA_DIR", home.join("data"));
    command
}

/// Runs a command while the stand-in answers.
async fn run(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.expect("no panic").expect("it runs")
}

async fn summary(home: &std::path::Path, url: &str) -> Value {
    let output = run(import(home, url, &["--json"])).await;
    serde_json::from_str(&succeeded(&output)).expect("JSON")
}

/// Returns the error of an import that must fail with this exit code and without output.
async fn failure(command: Command, code: i32) -> String {
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

async fn get(server: &Server, path: &str) -> Value {
    let answer = client()
        .get(server.at(path))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.expect("JSON")
}

async fn post(server: &Server, path: &str, body: &Value) -> Value {
    let sent = client().post(server.at(path)).json(body).send().await;
    let answer = sent.expect("an answer");
    assert_eq!(answer.status(), 201, "{path}");
    answer.json().await.expect("JSON")
}

/// Asserts that a server has both conversations, and that they can be continued.
async fn assert_imported(server: &Server) {
    let listed = get(server, "/api/messaging/sessions?status=all").await;
    let sessions = listed["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 2, "{listed}");
    let session = sessions.iter().find(|it| it["sessionId"] == TALK);
    let session = session.expect("the session");
    assert_eq!(session["status"], "expired");
    assert_eq!(session["agentId"], DESK);
    assert_eq!(session["userId"], USER);
    assert_eq!(session["createdAt"], super::elizaos::time(START - 1000));
    assert_eq!(session["lastActivity"], super::elizaos::time(START + 10));
    assert_eq!(
        session["timeoutConfig"],
        json!({ "timeoutMinutes": 2000, "autoRenew": false, "maxDurationMinutes": 20000,
                "warningThresholdMinutes": 7 })
    );
    assert_eq!(
        session["metadata"],
        json!({ "plan": "free", "title": "Garden",
                "elizaosSessionId": "9c06406b-b133-449e-b596-333cba634406" })
    );
    let plans = sessions.iter().find(|it| it["sessionId"] == PLANS);
    let plans = plans.expect("the session");
    assert_eq!(plans["metadata"], json!({ "title": "Garden \u{1b}plans" }));

    assert_transcripts(server).await;
    assert_continued(server).await;
}

async fn transcript(server: &Server, channel: &str) -> Vec<Value> {
    let path = format!("/api/messaging/channels/{channel}/messages");
    let mut page = get(server, &path).await;
    let messages = page["messages"].as_array_mut().expect("messages");
    messages.reverse();
    std::mem::take(messages)
}

async fn assert_transcripts(server: &Server) {
    let messages = transcript(server, TALK).await;
    let said: Vec<_> = messages
        .iter()
        .map(|it| (&it["id"], &it["authorId"], &it["isAgent"], &it["content"]))
        .collect();
    let expected = json!([
        [message(1), USER, false, "My roses are ill."],
        [message(2), DESK, true, "Give them water."],
        [message(3), USER, false, "And the tulips?\u{1b}[2J"],
    ]);
    assert_eq!(json!(said), expected);
    // The reply had the same time as the message.
    let times: Vec<_> = messages.iter().map(|it| &it["createdAt"]).collect();
    let at = [START, START + 1, START + 10].map(super::elizaos::time);
    assert_eq!(json!(times), json!(at));
    assert_eq!(messages[1]["inReplyTo"], message(1));
    assert_eq!(messages[1]["metadata"]["thought"], "A rule fits.");
    assert_eq!(messages[1]["metadata"]["actions"], json!(["REPLY"]));
    assert_eq!(messages[1]["metadata"].get("agent_id"), None);
    assert_eq!(messages[0]["metadata"]["plan"], "free");
    assert_eq!(messages[0]["metadata"].get("user_display_name"), None);

    let messages = transcript(server, PLANS).await;
    let said: Vec<_> = messages.iter().map(|it| &it["content"]).collect();
    assert_eq!(said, ["Look at it.", "One moment.", "It is 42."]);
    let attachment = &messages[0]["attachments"][0];
    let url = attachment["url"].as_str().expect("an address");
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/media/uploads/1.png"));
    assert_eq!(
        (&attachment["name"], &attachment["type"]),
        (&json!("1.png"), &json!("image"))
    );
}

async fn assert_continued(server: &Server) {
    let body = json!({
        "agentId": DESK, "userId": USER, "continueFrom": { "sessionId": TALK },
    });
    let session = post(server, "/api/messaging/sessions", &body).await;
    assert_eq!(session["continuedFrom"]["copied"], 3);
    assert_eq!(session["continuedFrom"]["complete"], true);
    let id = session["sessionId"].as_str().expect("an id");
    let sends = format!("/api/messaging/sessions/{id}/messages");
    post(server, &sends, &json!({ "content": "Well?" })).await;
    let turns = get(server, &format!("/api/agents/{DESK}/turns")).await;
    let turns = turns["turns"].as_array().expect("turns");
    assert_eq!(turns.len(), 1, "imported messages wait for no reply");
    let history: Vec<_> = turns[0]["history"]
        .as_array()
        .expect("a history")
        .iter()
        .collect();
    let said: Vec<_> = history.iter().map(|it| &it["content"]).collect();
    assert_eq!(
        said,
        [
            "My roses are ill.",
            "Give them water.",
            "And the tulips?\u{1b}[2J"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_imported_into_the_database() {
    let eliza = ElizaOs::start(content(vec![talk(), plans()])).await;
    let builder = with_desk(Server::builder());
    let output = run(import(builder.home(), &eliza.url, &[])).await;
    let shown = succeeded(&output);
    assert!(
        shown.starts_with("1 message without a reply: ElizaOS does not store"),
        "{shown}"
    );
    let counts = "2 sessions, 6 messages imported; 0 skipped, which existed; 0 left out\n";
    assert!(shown.ends_with(counts), "{shown}");
    assert!(
        eliza
            .requests()
            .iter()
            .any(|path| path.contains("/messages?"))
    );

    let again = summary(builder.home(), &eliza.url).await;
    assert_eq!(
        (&again["sessions"], &again["skipped"]),
        (&json!(0), &json!(2))
    );
    let requests = eliza.requests();
    assert!(
        requests.iter().all(|path| !path.contains("/messages?")),
        "{requests:?}"
    );

    let mut check = sessiond(builder.home(), &["check"]);
    succeeded(
        &check
            .env("DATA_DIR", builder.data_dir())
            .output()
            .expect("it runs"),
    );
    let server = builder.start();
    assert_imported(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_imported_into_a_running_server() {
    let eliza = ElizaOs::start(content(vec![talk(), plans()])).await;
    let mut server = with_desk(Server::builder()).start();
    let imported = summary(server.home(), &eliza.url).await;
    assert_eq!(
        (&imported["sessions"], &imported["messages"]),
        (&json!(2), &json!(6))
    );
    assert_eq!(
        (&imported["unanswered"], &imported["skipped"]),
        (&json!(1), &json!(0))
    );
    assert_imported(&server).await;

    eliza.requests();
    let again = summary(server.home(), &eliza.url).await;
    assert_eq!(
        (&again["sessions"], &again["skipped"]),
        (&json!(0), &json!(2))
    );
    let requests = eliza.requests();
    assert!(
        requests.iter().all(|path| !path.contains("/messages?")),
        "{requests:?}"
    );

    assert!(server.terminate().success());
    let mut check = sessiond(server.home(), &["check"]);
    succeeded(
        &check
            .env("DATA_DIR", server.data_dir())
            .output()
            .expect("it runs"),
    );
}

/// Channels that cannot be sessions, each with a part of the reason.
fn unfit() -> Vec<(Channel, String)> {
    let new = |number, participants: &[&str]| {
        Channel::new(
            &channel(number),
            "\u{1b}]0;gotcha\u{7}",
            participants,
            &json!({}),
        )
    };
    let said = |channel: Channel, number| channel.user(&message(number), USER, START, "Hello");
    let mut long = said(new(6, &[USER, ELIZA]), 60);
    long.messages[0]["content"] = "x".repeat(4001).into();
    let mut no_url = said(new(7, &[USER, ELIZA]), 70);
    no_url.messages[0]["metadata"]["attachments"] = json!([{ "type": "image" }]);
    let reply = new(8, &[USER, ELIZA])
        .user(&message(80), USER, START, "Hello")
        .reply(
            &message(81),
            ELIZA,
            START + 1,
            &"y".repeat(64 * 1024 + 1),
            &message(80),
        );
    let mut large = said(new(9, &[USER, ELIZA]), 90);
    large.details["metadata"] = json!({ "much": "z".repeat(10_240) });
    let mut future = said(new(10, &[USER, ELIZA]), 100);
    future.details["createdAt"] = "2999-01-01T00:00:00.000Z".into();
    let mut strange = said(new(11, &[USER, ELIZA]), 110);
    strange.details["id"] = "a\u{1b}b".into();
    let gone = "5f1c7b3e-8b1a-4d53-9f6e-2f5d3f0f8a11";
    let deleted = said(new(14, &[USER, gone]), 140).reply(
        &message(141),
        gone,
        START + 1,
        "Hi.",
        &message(140),
    );
    vec![
        (
            deleted,
            format!("its agent {gone} is not an agent of this data directory"),
        ),
        (
            said(new(1, &[USER, RULES]), 20),
            format!("its agent Ru les ({RULES}) is not an agent of"),
        ),
        (
            said(new(2, &[USER, ELIZA, DESK]), 30),
            "it has 2 agents".into(),
        ),
        (
            said(new(3, &[USER, OTHER_USER, ELIZA]), 40),
            "it has 2 users".into(),
        ),
        (new(4, &[USER, ELIZA]), "it has no messages".into()),
        (said(new(5, &[USER]), 50), "it has no agent".into()),
        (
            long,
            format!(
                "its message {} cannot be stored: content must be at most 4000",
                message(60)
            ),
        ),
        (
            no_url,
            "attachments[0].url must be a non-empty string".into(),
        ),
        (
            reply,
            "an agent's content must be at most 65536 bytes, not 65537".into(),
        ),
        (large, "metadata must be at most 10240 bytes".into()),
        (
            future,
            "it was created in the future, at 2999-01-01T00:00:00.000Z".into(),
        ),
        (strange, "its id is not a UUID".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_cannot_be_sessions_are_named_and_left_out() {
    let (mut channels, reasons): (Vec<_>, Vec<_>) = unfit().into_iter().unzip();
    // A third party writes in it.
    channels.push(
        Channel::new(&channel(13), "crowded", &[USER, ELIZA], &json!({}))
            .user(&message(130), USER, START, "Hello")
            .user(&message(131), OTHER_USER, START + 1, "Hello"),
    );
    let ids: Vec<_> = channels.iter().map(|it| it.id().to_owned()).collect();
    channels.push(talk());
    let eliza = ElizaOs::start(content(channels)).await;
    let reasons = reasons.into_iter().chain(["it has 2 users".into()]);
    let reasons: Vec<_> = reasons.collect();
    let builder = with_desk(Server::builder());
    let output = run(import(builder.home(), &eliza.url, &[])).await;
    let shown = succeeded(&output);
    assert!(
        !shown.contains('\u{1b}') && !shown.contains('\u{7}'),
        "{shown:?}"
    );
    for (id, reason) in ids.iter().zip(&reasons) {
        let begin = format!("left out channel {} (", id.replace('\u{1b}', " "));
        let line = shown.lines().find(|line| line.starts_with(&begin));
        let line = line.unwrap_or_else(|| panic!("{begin} in {shown}"));
        assert!(line.contains(reason), "{reason} in {line}");
    }
    let counts = "1 session, 3 messages imported; 0 skipped, which existed; 13 left out\n";
    assert!(shown.ends_with(counts), "{shown}");

    let again = summary(builder.home(), &eliza.url).await;
    assert_eq!(again["skipped"], 1);
    let left_out = again["leftOut"].as_array().expect("an array");
    assert_eq!(left_out.len(), 13);
    assert_eq!(left_out[0]["channelId"], channel(14));
    assert_eq!(left_out[0]["name"], "\u{1b}]0;gotcha\u{7}");
    let reason = left_out[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains(&reasons[0]), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parties_of_a_session_are_found_without_its_participants() {
    let greeting = Channel::of_session(TALK, ELIZA, USER, &json!({}));
    let greeting = greeting.reply(&message(1), ELIZA, START, "Welcome.", &message(9));
    // A client may give the members of the metadata other values.
    let metadata = json!({ "userId": "ada", "agentId": 7 });
    let renamed = Channel::of_session(PLANS, ELIZA, USER, &metadata);
    let renamed = renamed.user(&message(2), USER, START, "Hello").reply(
        &message(3),
        ELIZA,
        START + 1,
        "Hi.",
        &message(2),
    );
    let eliza = ElizaOs::start(content(vec![greeting, renamed])).await;
    let home = Home::new();
    let imported = summary(&home.path(""), &eliza.url).await;
    assert_eq!(
        (&imported["sessions"], &imported["messages"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(imported["unanswered"], 0);
    let asked = eliza.requests().into_iter();
    let asked: Vec<_> = asked
        .filter(|path| path.ends_with("/participants"))
        .collect();
    assert_eq!(
        asked,
        [format!("/api/messaging/channels/{PLANS}/participants")]
    );

    let exported = home.succeeds(&["export", "--session", TALK]);
    let session: Value =
        serde_json::from_str(exported.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&session["agentId"], &session["userId"]),
        (&json!(ELIZA), &json!(USER))
    );
    let exported = home.succeeds(&["export", "--session", PLANS]);
    let session: Value =
        serde_json::from_str(exported.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&session["agentId"], &session["userId"]),
        (&json!(ELIZA), &json!(USER))
    );
    let metadata = &session["metadata"];
    assert_eq!(
        (&metadata["userId"], &metadata["agentId"]),
        (&json!("ada"), &json!(7))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_channel_is_read_page_by_page() {
    let mut long = Channel::new(PLANS, "", &[USER, ELIZA], &json!({}));
    // Pages end within a millisecond, and one millisecond has more messages than a page.
    for number in 0..1500 {
        let at = match number {
            400..900 => START + 400,
            other => START + i64::try_from(other / 3).expect("small"),
        };
        long = long.user(&message(number), USER, at, &format!("{number}"));
    }
    long.messages.sort_by_key(|it| it["created_at"].as_i64());
    let expected: Vec<_> = long.messages.iter().map(|it| it["id"].clone()).collect();
    let eliza = ElizaOs::start(content(vec![long])).await;
    let home = Home::new();
    let imported = summary(&home.path(""), &eliza.url).await;
    assert_eq!(
        (&imported["sessions"], &imported["messages"]),
        (&json!(1), &json!(1500))
    );
    let exported = home.succeeds(&["export"]);
    let lines = exported.lines().skip(1).map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        (
            line["id"].clone(),
            line["createdAt"].as_str().expect("a time").to_owned(),
        )
    });
    let (ids, times): (Vec<_>, Vec<_>) = lines.unzip();
    let unordered = |ids: &[Value]| -> std::collections::BTreeSet<String> {
        ids.iter().map(ToString::to_string).collect()
    };
    assert_eq!(unordered(&ids), unordered(&expected));
    assert!(times.is_sorted_by(|one, other| one < other));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_variable_is_sent_and_never_shown() {
    const KEY: &str = "s3cret-of-the-server";
    let mut content = content(vec![talk()]);
    content.key = Some(KEY);
    let eliza = ElizaOs::start(content).await;
    let builder = with_desk(Server::builder());
    let home = builder.home();
    let import = |options: &[&str]| import(home, &eliza.url, options);

    let error = failure(import(&[]), 1).await;
    for expected in [
        "(401)",
        "--api-key-env",
        "X-API-KEY",
        "ELIZA_SERVER_AUTH_TOKEN",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let with_key = ["--api-key-env", "ELIZA_KEY"];
    let error = failure(import(&with_key), 1).await;
    assert!(
        error.contains("the variable ELIZA_KEY is not set"),
        "{error}"
    );
    let mut wrong = import(&with_key);
    wrong.env("ELIZA_KEY", "wr0ng");
    let error = failure(wrong, 1).await;
    assert!(
        error.contains("refuses the key in ELIZA_KEY (401)"),
        "{error}"
    );
    assert!(
        error.contains("X-API-KEY") && !error.contains("wr0ng"),
        "{error}"
    );
    let error = failure(import(&["--api-key-env", KEY]), 1).await;
    assert!(
        error.contains("expected the name of a variable") && !error.contains(KEY),
        "{error}"
    );

    let mut right = import(&with_key);
    right.env("ELIZA_KEY", KEY);
    let output = run(right).await;
    assert!(succeeded(&output).contains("1 session, 3 messages imported"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains(KEY));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_servers_and_addresses_are_refused() {
    let home = Home::new();
    let import = |url: &str, options: &[&str]| import(&home.path(""), url, options);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nothing = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let error = failure(import(&nothing, &[]), 1).await;
    assert!(
        error.contains(&format!("{nothing} cannot be read: ")),
        "{error}"
    );

    // Below another path there is only the page of its client.
    let eliza = ElizaOs::start(Content::default()).await;
    let path = "/api/messaging/message-servers";
    let error = failure(import(&format!("{}/other", eliza.url), &[]), 1).await;
    assert!(
        error.contains(&format!(
            "is not an ElizaOS 1.x server: it answers a web page to GET {path}"
        )),
        "{error}"
    );
    let sessions = Server::start();
    let error = failure(import(sessions.url(), &[]), 1).await;
    assert!(
        error.contains(&format!(
            "is not an ElizaOS 1.x server: it answers 404 to GET {path}"
        )),
        "{error}"
    );

    for (url, options, expected) in [
        (
            "http://user:pa55word@h",
            &[][..],
            "--from-elizaos has user information",
        ),
        (
            "ftp://h",
            &[],
            "--from-elizaos must be a URL that begins with http",
        ),
        ("", &[], "--from-elizaos must be a URL"),
        ("http://h", &["sessions.jsonl"], "cannot be used with"),
    ] {
        let error = failure(import(url, options), 2).await;
        assert!(
            error.contains(expected) && !error.contains("pa55word"),
            "{error}"
        );
    }
    let mut command = sessiond(&home.path(""), &["import", "--api-key-env", "KEY"]);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        !home.database().exists(),
        "a refused import creates no database"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_requests_is_waited_for() {
    let mut content = content(vec![talk()]);
    content.too_many = 1;
    let eliza = ElizaOs::start(content).await;
    let builder = with_desk(Server::builder());
    let output = run(import(builder.home(), &eliza.url, &[])).await;
    assert!(succeeded(&output).contains("1 session, 3 messages imported"));
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(
        notes.contains("accepts no more requests for now (429); waiting for 1 s"),
        "{notes}"
    );

    eliza.change(|content| content.too_many = 3);
    let error = failure(import(builder.home(), &eliza.url, &[]), 1).await;
    assert!(
        error.contains("accepts no more requests (429); try again later"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_an_error_is_imported() {
    let mut content = content(vec![talk(), plans()]);
    content.cut_off = Some(PLANS.into());
    let eliza = ElizaOs::start(content).await;
    let builder = with_desk(Server::builder());
    let error = failure(import(builder.home(), &eliza.url, &[]), 1).await;
    let imported = "1 session, 3 messages imported; 0 skipped, which existed; 0 left out";
    assert!(error.contains(imported), "{error}");
    assert!(
        error.contains("run the command again to go on: "),
        "{error}"
    );
    assert!(error.contains("cannot be read: "), "{error}");

    eliza.change(|content| content.cut_off = None);
    let again = summary(builder.home(), &eliza.url).await;
    assert_eq!(
        (&again["sessions"], &again["skipped"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_too_large_for_a_running_server_is_imported_without_one() {
    let mut large = Channel::new(PLANS, "", &[USER, ELIZA], &json!({}));
    for number in 0..10_000 {
        let at = START + i64::try_from(number).expect("small");
        large = large.user(&message(number), USER, at, "x");
    }
    let eliza = ElizaOs::start(content(vec![large])).await;
    let mut server = Server::start();
    let output = run(import(server.home(), &eliza.url, &[])).await;
    let shown = succeeded(&output);
    let line = format!("left out channel {PLANS}: it has more than 9999 messages or 32 MiB");
    assert!(shown.starts_with(&line), "{shown}");
    assert!(
        shown.contains("stop the server, and run the command again"),
        "{shown}"
    );

    assert!(server.terminate().success());
    let imported = summary(server.home(), &eliza.url).await;
    assert_eq!(
        (&imported["sessions"], &imported["messages"]),
        (&json!(1), &json!(10_000))
    );
}

/// Starts an import in which the conversation of Desk is read, and then requests are made for the
/// other one.
async fn import_at_the_second_channel(builder: &Builder, eliza: &ElizaOs) -> Child {
    let mut command = import(builder.home(), &eliza.url, &[]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let import = command.spawn().expect("it runs");
    let path = format!("/api/messaging/channels/{PLANS}/messages");
    wait_until("it reads the second channel", || {
        eliza.requests().iter().any(|it| it.starts_with(&path))
    })
    .await;
    import
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 30 s: {what}");
}

/// Sends a signal to an import, and returns what it printed as an error until it ended.
async fn stopped(import: Child, signal: &str, code: i32) -> String {
    send(signal, &import);
    let ended = tokio::task::spawn_blocking(move || import.wait_with_output());
    let output = ended.await.expect("no panic").expect("it ends");
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_an_import_after_what_was_read_is_stored() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut content = content(vec![talk(), plans()]);
        content.held = Some(PLANS.into());
        let eliza = ElizaOs::start(content).await;
        let builder = with_desk(Server::builder());
        let import = import_at_the_second_channel(&builder, &eliza).await;
        let error = stopped(import, signal, code).await;
        let expected = "1 session, 3 messages imported; 0 skipped, which existed; 0 left out; run \
                        the command again to go on: stopped by a signal";
        assert!(error.contains(expected), "{error}");

        eliza.change(|content| content.held = None);
        let again = summary(builder.home(), &eliza.url).await;
        assert_eq!(
            (&again["sessions"], &again["skipped"]),
            (&json!(1), &json!(1))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_stored_before_a_limit_of_requests_is_waited_for() {
    let mut content = content(vec![talk(), plans()]);
    content.busy = Some(PLANS.into());
    let eliza = ElizaOs::start(content).await;
    let builder = with_desk(Server::builder());
    let import = import_at_the_second_channel(&builder, &eliza).await;
    let export = || {
        let mut export = sessiond(builder.home(), &["export"]);
        let output = export.env("DATA_DIR", builder.data_dir()).output();
        String::from_utf8(output.expect("it runs").stdout).expect("UTF-8")
    };
    wait_until("the first session is stored", || export().contains(TALK)).await;
    let error = stopped(import, "TERM", 143).await;
    assert!(error.contains("waiting for 900 s"), "{error}");
    assert!(error.contains("1 session, 3 messages imported"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_during_an_import_receives_the_sessions() {
    let mut content = content(vec![talk(), plans()]);
    content.held = Some(PLANS.into());
    let eliza = ElizaOs::start(content).await;
    let builder = with_desk(Server::builder());
    let import = import_at_the_second_channel(&builder, &eliza).await;
    let server = builder.start();
    eliza.change(|content| content.held = None);
    let ended = tokio::task::spawn_blocking(move || import.wait_with_output());
    let output = ended.await.expect("no panic").expect("it ends");
    let shown = succeeded(&output);
    assert!(shown.contains("2 sessions, 6 messages imported"), "{shown}");
    assert_imported(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_used_is_noticed_before_anything_is_read() {
    let eliza = ElizaOs::start(content(vec![talk()])).await;
    let home = Home::new();
    // No one can create a file in it, not even root.
    let mut read_only = import(&home.path(""), &eliza.url, &[]);
    read_only.env("DATA_DIR", "/proc/self/fdinfo");
    let error = failure(read_only, 1).await;
    assert!(
        error.contains("no file can be created in /proc/self/fdinfo"),
        "{error}"
    );

    // Another process holds it.
    let directory = home.path("data");
    std::fs::create_dir_all(&directory).expect("a directory");
    let held = std::fs::File::open(&directory).expect("a directory");
    held.lock().expect("it is free");
    let error = failure(import(&home.path(""), &eliza.url, &[]), 1).await;
    assert!(error.contains("another process holds"), "{error}");
    assert!(!error.contains("/api/admin/import"), "{error}");

    assert!(eliza.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_is_left_out_and_others_are_imported() {
    let mut content = content(vec![plans(), talk()]);
    content.locked = Some(PLANS.into());
    let eliza = ElizaOs::start(content).await;
    let builder = with_desk(Server::builder());
    let output = run(import(builder.home(), &eliza.url, &[])).await;
    let shown = succeeded(&output);
    let path = format!("/api/messaging/channels/{PLANS}/messages");
    let reason = format!("the server refuses GET {path} (403)");
    assert!(shown.contains(&reason), "{shown}");
    assert!(shown.contains("1 session, 3 messages imported"), "{shown}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// Changes what the other server does.
type Change = fn(&mut Content);

#[tokio::test(flavor = "multi_thread")]
async fn channels_that_the_other_server_fails_to_answer_make_the_command_fail() {
    let builder = with_desk(Server::builder());
    let path = format!("/api/messaging/channels/{PLANS}/messages");
    let eliza = ElizaOs::start(content(vec![plans(), talk()])).await;
    let broken = |content: &mut Content| content.broken = Some(PLANS.into());
    let garbled = |content: &mut Content| {
        content.broken = None;
        content.garbled = Some(PLANS.into());
    };
    let cases: [(Change, String); 2] = [
        (broken, format!("the server failed (500) at GET {path}")),
        (garbled, format!("it answers something else to GET {path}")),
    ];
    for (change, reason) in cases {
        eliza.change(change);
        let output = run(import(builder.home(), &eliza.url, &["--json"])).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let imported: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(imported["failed"], 1);
        assert_eq!(imported["leftOut"][0]["reason"], reason);
        let error = String::from_utf8_lossy(&output.stderr);
        let expected = "1 channel left out because ElizaOS failed; run the command again to go on";
        assert!(error.contains(expected), "{error}");
    }
    eliza.change(|content| content.garbled = None);
    let again = summary(builder.home(), &eliza.url).await;
    assert_eq!(
        (&again["sessions"], &again["skipped"], &again["failed"]),
        (&json!(1), &json!(1), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_not_taken_for_another_kind_of_server() {
    let eliza = ElizaOs::start(content(vec![talk()])).await;
    let home = Home::new();
    for path in [
        "/api/agents",
        "/api/messaging/message-servers",
        "/api/messaging/message-servers/00000000-0000-0000-0000-000000000000/channels",
    ] {
        eliza.change(|content| content.failing = Some(path));
        let error = failure(import(&home.path(""), &eliza.url, &[]), 1).await;
        let expected = format!("{}: the server failed (500) at GET {path}", eliza.url);
        assert!(error.contains(&expected), "{error}");
        assert!(!error.contains("is not an ElizaOS"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_are_cut_and_the_command_for_a_missing_agent_is_named() {
    let new = |name: &str| {
        Channel::new(PLANS, name, &[USER, RULES], &json!({})).user(
            &message(1),
            USER,
            START,
            "Hello",
        )
    };
    let mut content = content(vec![new(&"n".repeat(5000))]);
    content.agent = Some("a".repeat(5000));
    let eliza = ElizaOs::start(content).await;
    let home = Home::new();
    let left_out = |output: &Output| {
        let shown = succeeded(output);
        shown.lines().next().expect("a line").to_owned()
    };
    let line = left_out(&run(import(&home.path(""), &eliza.url, &[])).await);
    let (channel, agent) = ("n".repeat(100), "a".repeat(100));
    let expected = format!("channel {PLANS} ({channel}…): its agent {agent}… ({RULES}) is not an");
    assert!(line.contains(&expected), "{line}");
    let command = format!(
        "`sessiond agents new NAME --backend elizaos --base-url {}`",
        eliza.url
    );
    assert!(line.contains(&command) && line.len() < 1000, "{line}");

    eliza.change(|content| content.agent = Some("Ada Rules".into()));
    let line = left_out(&run(import(&home.path(""), &eliza.url, &[])).await);
    let url = &eliza.url;
    let command = format!("`sessiond agents new 'Ada Rules' --backend elizaos --base-url {url}`");
    assert!(line.contains(&command), "{line}");
    assert!(line.contains(&format!("\"id\": \"{RULES}\"")), "{line}");
}
