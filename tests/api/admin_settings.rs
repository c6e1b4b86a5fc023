//! The settings, as administrators see them.

use serde_json::{Value, json};

use crate::harness::{Server, answer};

const SETTINGS: &str = "/api/admin/settings";

fn find<'a>(settings: &'a Value, name: &str) -> Option<&'a Value> {
    let mut settings = settings["settings"].as_array().unwrap().iter();
    settings.find(|setting| setting["name"] == name)
}

#[tokio::test]
async fn settings_have_the_values_in_use_and_their_sources() {
    let server = Server::builder()
        .set("MAX_PENDING_TURNS", "0")
        .set("SESSION_MAX_TIMEOUT_MINUTES", "+60")
        .set("OPENAI_API_KEY", "s3cret of an agent")
        .start()
        .await;
    let settings = server.get(SETTINGS).await.expect(200).body;
    let (_, port) = server.url().rsplit_once(':').unwrap();
    for (name, value, source, default) in [
        // Clamped.
        (
            "MAX_PENDING_TURNS",
            json!("1"),
            "environment",
            json!("10000"),
        ),
        (
            "SESSION_MAX_TIMEOUT_MINUTES",
            json!("60"),
            "environment",
            json!("1440"),
        ),
        // Limited by another setting.
        (
            "SESSION_MAX_DURATION_MINUTES",
            json!("120"),
            "default",
            json!("720"),
        ),
        ("KEEP_ALIVE_SECONDS", json!("75"), "default", json!("75")),
        (
            "CLEAR_SESSIONS_ON_SHUTDOWN",
            json!("false"),
            "default",
            json!("false"),
        ),
        ("JWT_SECRET", Value::Null, "default", Value::Null),
        // The port that the server listens on.
        ("SERVER_PORT", json!(port), "default", json!("3000")),
    ] {
        let expected =
            json!({ "name": name, "value": value, "source": source, "default": default });
        assert_eq!(find(&settings, name), Some(&expected));
    }
    // Variables of agents and of other programs are not settings.
    assert_eq!(find(&settings, "OPENAI_API_KEY"), None);
    assert!(!settings.to_string().contains("s3cret"));
    server.stop().await;
}

#[tokio::test]
async fn the_answer_contains_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, "s3cret key of thirty-two bytes and more\n").unwrap();
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "s3cret of clients, long enough")
        .set("SESSIOND_ADMIN_TOKEN", "s3cret of admins, long enough")
        .set("JWT_SECRET_FILE", key.to_str().unwrap())
        .start()
        .await;
    let request = server.request(reqwest::Method::GET, SETTINGS);
    let admin = request.header("x-api-key", "s3cret of admins, long enough");
    let settings = answer(admin).await.expect(200).body;
    assert!(!settings.to_string().contains("s3cret"), "{settings}");
    for name in [
        "ELIZA_SERVER_AUTH_TOKEN",
        "SESSIOND_ADMIN_TOKEN",
        "JWT_SECRET",
    ] {
        let expected = json!({
            "name": name, "value": "(set)", "source": "environment", "default": null,
        });
        assert_eq!(find(&settings, name), Some(&expected));
    }
    let file = find(&settings, "JWT_SECRET_FILE").unwrap();
    assert_eq!(file["value"], key.to_str().unwrap());
    server.stop().await;
}
