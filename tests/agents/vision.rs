//! Images of a message, for models that can see.

use serde_json::{Value, json};

use crate::harness::Server;
use crate::stand_in::{AGENT, Call, StandIn, character, client, server_with};
use crate::support::server::Server as Process;

const URL: &str = "https://h/cat.png";
const DATA: &str = "data:image/png;base64,iVBORw0KGgo=";

fn backend(stand_in: &StandIn) -> Value {
    json!({ "type": "openai", "baseUrl": stand_in.url })
}

/// Sends a message with a cat as an image, and waits for the reply in a task of its own.
fn send_cat(server: &Server, session: &str) -> tokio::task::JoinHandle<crate::harness::Answer> {
    let message = json!({
        "content": "A cat?", "transport": "http",
        "attachments": [{ "type": "image", "url": URL }],
    });
    let request = server.sending(session, &message);
    tokio::spawn(crate::harness::answer(request))
}

/// Returns the content of the last message of a request.
fn last(call: &Call) -> Value {
    let asked = call.json();
    let messages = asked["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].clone()
}

fn with_image(text: &str) -> Value {
    json!([
        { "type": "text", "text": text },
        { "type": "image_url", "image_url": { "url": URL } },
    ])
}

#[tokio::test]
async fn a_model_receives_the_images_of_the_message_and_the_names_of_earlier_ones() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    let session = server.talk().await;
    let attachments = json!([
        { "type": "image", "url": URL, "name": "My cat" },
        { "type": "media", "contentType": "image", "url": DATA, "title": "Her cat" },
        { "type": "application/pdf", "url": "https://h/a.pdf" },
    ]);
    let message = json!({
        "content": "Which is older?", "transport": "http", "attachments": attachments,
    });
    let asking = tokio::spawn(crate::harness::answer(server.sending(&session, &message)));
    let call = stand_in.next().await;
    let text = "Which is older?\n\n[file: a.pdf, application/pdf, https://h/a.pdf]";
    let parts = json!([
        { "type": "text", "text": text },
        { "type": "image_url", "image_url": { "url": URL } },
        { "type": "image_url", "image_url": { "url": DATA } },
    ]);
    assert_eq!(last(&call), parts);
    call.complete("Yours.").await;
    asking.await.unwrap().expect(201);

    // A failed turn is merged with the next one; its images are not sent again.
    let asking = send_cat(&server, &session);
    stand_in.next().await.answer(401, &json!({})).await;
    asking.await.unwrap().expect(502);
    let asking = send_cat(&server, &session);
    let call = stand_in.next().await;
    assert_eq!(
        last(&call),
        with_image("A cat?\n\n[image: cat.png]\n\nA cat?")
    );
    let asked = call.json();
    let earlier = "Which is older?\n\n[image: My cat]\n[image: Her cat]\n\
                   [file: a.pdf, application/pdf, https://h/a.pdf]";
    assert_eq!(asked["messages"][1]["content"], earlier);
    call.complete("Yes.").await;
    asking.await.unwrap().expect(201);

    let asking = server.wait_for(&session, "Thanks");
    let call = stand_in.next().await;
    assert_eq!(last(&call), "Thanks");
    call.complete("Welcome.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_model_without_vision_receives_the_names() {
    let mut stand_in = StandIn::start().await;
    let mut settings = backend(&stand_in);
    settings["vision"] = false.into();
    let server = server_with(settings).await;
    let session = server.talk().await;
    let asking = send_cat(&server, &session);
    let call = stand_in.next().await;
    assert_eq!(last(&call), "A cat?\n\n[image: cat.png]");
    call.complete("Perhaps.").await;
    asking.await.unwrap().expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_request_whose_images_are_refused_is_repeated_once_with_their_names() {
    let mut stand_in = StandIn::start().await;
    let server = server_with(backend(&stand_in)).await;
    for (status, body) in [
        // DeepSeek.
        (
            400,
            "Failed to deserialize the JSON body into the target type: messages[1]: unknown \
             variant `image_url`, expected `text` at line 1 column 62",
        ),
        // Groq and others.
        (
            400,
            r#"{"error":{"message":"'messages.1' : content must be a string"}}"#,
        ),
        (
            422,
            r#"{"detail":[{"msg":"Input should be a valid string"}]}"#,
        ),
        // OpenRouter.
        (
            404,
            r#"{"error":{"message":"No endpoints found that support image input","code":404}}"#,
        ),
        // llama.cpp and Ollama.
        (
            500,
            r#"{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}"#,
        ),
        (
            200,
            r#"{"error":{"message":"this model is not a multimodal model"}}"#,
        ),
    ] {
        let session = server.talk().await;
        let asking = send_cat(&server, &session);
        let call = stand_in.next().await;
        assert_eq!(last(&call), with_image("A cat?"));
        call.answer_with(status, &[], body).await;
        let call = stand_in.next().await;
        assert_eq!(last(&call), "A cat?\n\n[image: cat.png]", "{body}");
        call.complete("Perhaps.").await;
        asking.await.unwrap().expect(201);
    }
    // The next image may be one that it can read.
    let session = server.talk().await;
    let asking = send_cat(&server, &session);
    for wanted in [with_image("A cat?"), json!("A cat?\n\n[image: cat.png]")] {
        let call = stand_in.next().await;
        assert_eq!(last(&call), wanted);
        let body = json!({ "error": { "message": "cannot read the image" } });
        call.answer(400, &body).await;
    }
    asking.await.unwrap().expect(502);
    stand_in.expect_nothing().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_how_to_send_no_images() {
    let mut stand_in = StandIn::start().await;
    let setup = Process::builder();
    let directory = setup.data_dir().join("agents");
    std::fs::create_dir_all(&directory).unwrap();
    let file = character(AGENT, &backend(&stand_in)).to_string();
    std::fs::write(directory.join("agent.json"), file).unwrap();
    let server = tokio::task::spawn_blocking(|| setup.start()).await.unwrap();
    let sessions = server.at("/api/messaging/sessions");
    let create = json!({ "agentId": AGENT, "userId": AGENT });
    let created = client().post(&sessions).json(&create).send().await.unwrap();
    let created: Value = created.json().await.unwrap();
    let session = created["sessionId"].as_str().unwrap();
    let message = json!({
        "content": "A cat?", "transport": "http",
        "attachments": [{ "type": "image", "url": "https://h/secret-cat-of-ada.png" }],
    });
    let send = client()
        .post(format!("{sessions}/{session}/messages"))
        .json(&message)
        .send();
    let answering = async {
        let said = "image input is not supported";
        let body = json!({ "error": { "message": said } });
        stand_in.next().await.answer(400, &body).await;
        stand_in.next().await.complete("Perhaps.").await;
    };
    let (answer, ()) = tokio::join!(send, answering);
    assert_eq!(answer.unwrap().status(), 201);
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("refused a request with images"));
    let line = line.expect("a line of the log");
    assert!(line.contains(" WARN "), "{line}");
    let fields = format!("name=\"Agent 1\" agent={AGENT} ");
    assert!(line.contains(&fields), "{line}");
    assert!(line.contains("image input is not supported"), "{line}");
    assert!(line.contains("vision"), "{line}");
    assert!(!log.contains("secret-cat-of-ada"), "{log}");
}
