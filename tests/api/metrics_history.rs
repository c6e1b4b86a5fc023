//! The metrics of the last hour.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{HOUR, SECOND, SESSIONS, Server, eventually};

const HISTORY: &str = "/api/admin/metrics/history";
const INTERVAL: Duration = Duration::from_secs(10);
const POINTS: usize = 360;

const NAMES: [&str; 14] = [
    "requestsPerSecond",
    "errorsPerSecond",
    "requestP95Seconds",
    "writesPerSecond",
    "commitP95Seconds",
    "messagesPerSecond",
    "agentFailures",
    "turnsOpen",
    "activeSessions",
    "liveSubscribers",
    "databaseBytes",
    "freeDiskBytes",
    "residentMemoryBytes",
    "cpuShare",
];

/// Returns the series, after checking their form.
async fn series(server: &Server) -> Value {
    let history = server.get(HISTORY).await.expect(200).body;
    assert_eq!(history["intervalSeconds"], 10);
    let series = &history["series"];
    let found: Vec<_> = series.as_object().unwrap().iter().collect();
    assert_eq!(found.len(), NAMES.len(), "{series}");
    for name in NAMES {
        assert_eq!(values(series, name).len(), length(series), "{name}");
    }
    series.clone()
}

fn values<'a>(series: &'a Value, name: &str) -> &'a [Value] {
    series[name].as_array().unwrap()
}

fn length(series: &Value) -> usize {
    values(series, NAMES[0]).len()
}

/// Returns the last value of a series.
fn last<'a>(series: &'a Value, name: &str) -> &'a Value {
    values(series, name).last().unwrap()
}

/// Moves the time forward and waits for that many points.
async fn advance_to(server: &Server, span: Duration, points: usize) -> Value {
    server.advance(span);
    eventually("the points", async || {
        let series = series(server).await;
        (length(&series) == points).then_some(series)
    })
    .await
}

#[tokio::test]
async fn a_point_is_added_every_ten_seconds() {
    // A verification would write its result at any time.
    let server = Server::builder()
        .set("SESSION_VERIFY_INTERVAL_HOURS", "0")
        .start()
        .await;
    assert_eq!(length(&series(&server).await), 0);
    server.advance(9 * SECOND);
    assert_eq!(length(&series(&server).await), 0, "not yet");
    let before = advance_to(&server, SECOND, 1).await;
    assert_eq!(*last(&before, "messagesPerSecond"), 0);
    assert_eq!(*last(&before, "activeSessions"), 0);

    let session = server.session().await;
    server.ask(&session, "say hello").await;
    let failing = json!({ "content": "fail", "transport": "http" });
    server.send(&session, failing).await.expect(502);
    server.get(&format!("{SESSIONS}/none")).await.expect(404);
    let open = server.wait_for(&session, "hold");
    eventually("the open turn", async || {
        let messages = server.get_text("/metrics").await;
        messages.contains("sessiond_turns_open 1\n").then_some(())
    })
    .await;
    let series = advance_to(&server, INTERVAL, 2).await;
    for (name, value) in [
        // Three of the user and one of the agent, and one 502.
        ("messagesPerSecond", json!(0.4)),
        ("errorsPerSecond", json!(0.1)),
        ("agentFailures", json!(1)),
        ("turnsOpen", json!(1)),
        ("activeSessions", json!(1)),
        ("liveSubscribers", json!(0)),
    ] {
        assert_eq!(values(&series, name)[1], value, "{name}: {series}");
    }
    for name in [
        "requestsPerSecond",
        "writesPerSecond",
        "requestP95Seconds",
        "commitP95Seconds",
        "databaseBytes",
        "freeDiskBytes",
        "residentMemoryBytes",
    ] {
        assert!(
            last(&series, name).as_f64().unwrap() > 0.0,
            "{name}: {series}"
        );
    }
    // The system counts processor time in hundredths of a second.
    assert!(last(&series, "cpuShare").is_number(), "{series}");
    assert!(last(&series, "requestP95Seconds").as_f64().unwrap() <= 10.0);
    assert!(last(&series, "databaseBytes").as_f64().unwrap() > 1000.0);

    // Rates and percentiles are those of the last interval only.
    server
        .delete(&format!("{SESSIONS}/{session}"))
        .await
        .expect(200);
    open.await.unwrap().expect(404);
    advance_to(&server, INTERVAL, 3).await;
    let series = advance_to(&server, INTERVAL, 4).await;
    for (name, value) in [
        ("messagesPerSecond", json!(0)),
        ("errorsPerSecond", json!(0)),
        ("agentFailures", json!(0)),
        ("writesPerSecond", json!(0)),
        ("commitP95Seconds", Value::Null),
        ("turnsOpen", json!(0)),
    ] {
        assert_eq!(*last(&series, name), value, "{name}: {series}");
    }
    server.stop().await;
}

#[tokio::test]
async fn missed_points_are_null_and_an_hour_is_retained() {
    let server = Server::start().await;
    advance_to(&server, INTERVAL, 1).await;
    server.session().await;
    let series = advance_to(&server, 4 * INTERVAL, 5).await;
    for name in NAMES {
        assert_eq!(
            values(&series, name)[1..4],
            [Value::Null, Value::Null, Value::Null],
            "{name}"
        );
    }
    // A rate would cover more than the last ten seconds.
    assert_eq!(*last(&series, "requestsPerSecond"), Value::Null);
    assert_eq!(*last(&series, "activeSessions"), 1);
    let next = advance_to(&server, INTERVAL, 6).await;
    assert!(last(&next, "requestsPerSecond").is_number(), "{next}");

    let full = advance_to(&server, 2 * HOUR, POINTS).await;
    let measured = values(&full, "residentMemoryBytes").iter();
    assert_eq!(measured.filter(|value| !value.is_null()).count(), 1);
    server.advance(INTERVAL);
    let full = eventually("the next point", async || {
        let series = self::series(&server).await;
        last(&series, "requestsPerSecond")
            .is_number()
            .then_some(series)
    })
    .await;
    assert_eq!(length(&full), POINTS);
    server.stop().await;
}
