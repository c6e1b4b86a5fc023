use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const ID: &str = "01a1fba1-0cf4-72b1-b1f0-1027f3da31c5";
const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const AGENT: &str = "b850bc30-45f8-0041-a00a-83df46d8555d";

fn names() -> AgentNames {
    [(AGENT.to_owned(), "Eliza".to_owned())].into()
}

fn sample(metadata: &Value) -> Value {
    json!({
        "sessionId": ID, "agentId": AGENT, "userId": USER,
        "createdAt": "2023-11-14T21:13:20.000Z", "lastActivity": "2023-11-14T22:10:20.000Z",
        "expiresAt": "2023-11-14T22:40:20.000Z", "timeRemaining": 1_620_000, "status": "active",
        "timeoutConfig": { "timeoutMinutes": 30, "autoRenew": true }, "metadata": metadata,
        "lastMessage": { "content": "Hello,\u{1b}[2J\nAda.", "isAgent": true },
    })
}

#[test]
fn a_session_has_two_lines_of_at_most_80_columns() {
    let sessions = [
        sample(&json!({ "title": "Garden plans" })),
        sample(&json!({})),
        sample(&json!({ "title": "x".repeat(500) })),
    ];
    let shown = list(&sessions, &names(), NOW);
    let first = format!("{ID}  3 min ago  27 min left  Eliza");
    let long = "x".repeat(39);
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        [
            first.as_str(),
            &format!("  {USER}  Garden plans"),
            &first,
            &format!("  {USER}  “Hello, [2J Ada.”"),
            &first,
            &format!("  {USER}  {long}…"),
        ]
    );
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
}

#[test]
fn an_agent_that_is_gone_is_shown_by_its_id() {
    let mut session = sample(&json!({ "title": "t" }));
    session["timeRemaining"] = json!(0);
    let shown = list(&[session], &AgentNames::new(), NOW);
    assert!(
        shown.starts_with(&format!("{ID}  3 min ago  expired  {AGENT}\n")),
        "{shown}"
    );
}

#[test]
fn details_and_messages_are_shown_without_control_characters() {
    let messages = [
        json!({ "content": "Hi\u{7}\n\tthere", "isAgent": false, "createdAt": "T1\u{9b}" }),
        json!({ "content": "Hello.\r\n", "isAgent": true, "createdAt": "T2" }),
    ];
    let mut ended = sample(&json!({ "title": "a\u{1b}]0;b\u{7}" }));
    ended["retainedUntil"] = json!("2023-11-21T22:40:20.000Z");
    let shown = session(&ended, &messages, &names(), NOW);
    for line in [
        format!("session        {ID}"),
        "title          a ]0;b".to_owned(),
        format!("agent          Eliza {AGENT}"),
        format!("user           {USER}"),
        "status         expired, retained until 2023-11-21T22:40:20.000Z".to_owned(),
        "last activity  2023-11-14T22:10:20.000Z, 3 min ago".to_owned(),
        "timeout        30 min, renewed by activity".to_owned(),
    ] {
        assert!(shown.lines().any(|it| it == line), "{line} in {shown}");
    }
    assert!(!shown.contains("continues"), "{shown}");
    let end = "\n\nuser, T1 \n  Hi\n   there\n\nEliza, T2\n  Hello.";
    assert!(shown.ends_with(end), "{shown}");
    assert!(
        !shown.contains(|c: char| c.is_control() && c != '\n'),
        "{shown:?}"
    );
}

#[test]
fn an_excerpt_is_the_part_around_the_query() {
    assert_eq!(excerpt("My roses\nare ill.", "ROSES"), "My roses are ill.");
    let long = format!("{}ROSES{}", "a ".repeat(100), " b".repeat(100));
    let part = excerpt(&long, "roses");
    assert!(part.starts_with("…a a") && part.ends_with('…'), "{part}");
    assert!(part.contains("ROSES"), "{part}");
    assert!(part.chars().count() <= MAX_EXCERPT, "{part}");
    assert_eq!(excerpt("İİİ", "x"), "İİİ");
}

#[test]
fn spans_have_their_largest_unit() {
    for (millis, expected) in [
        (0, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_600_000, "1 h"),
        (86_400_000 * 365, "365 d"),
    ] {
        assert_eq!(span(millis), expected);
    }
    assert_eq!(ago(&json!("2033-11-14T22:10:20.000Z"), NOW), "0 s ago");
    assert_eq!(ago(&json!("soon\u{1b}"), NOW), "soon ");
}
