//! An example of each answer that a call has for itself, made as the server makes it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::sample::{
    CREATED, NOW, created, message, patched, reply, session, session_id, unanswered,
};
use super::streams;
use crate::api::dto::{
    self, AgentListAnswer, Deleted, MessageList, Sent, SessionInfo, SessionStatus, StatsInfo,
    StorageAnswer, Submitted, UserMessage, VerificationAnswer,
};
use crate::api::handlers::health::unhealthy;
use crate::app::{
    Character, Health, LastBackup, Page, Reason, Stats, Status, StorageInfo, Verified,
};
use crate::archive;
use crate::domain::archive::{ArchivedMessage, ArchivedSession, Item};
use crate::domain::message::TurnFailure;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// A few of the figures, as both formats have them.
const FIGURES: &str = "# HELP sessiond_sessions_active Sessions that can be used.\n\
    # TYPE sessiond_sessions_active gauge\n\
    sessiond_sessions_active 42\n";

/// Examples by their names.
pub(super) type Examples = Vec<(&'static str, Value)>;

/// The examples of a call, by their statuses.
pub(super) fn of(operation: &str) -> Vec<(&'static str, Examples)> {
    match operation {
        "createSession" => vec![("201", one("created", info(&created(), CREATED)))],
        "getSession" | "renewSession" | "sessionHeartbeat" => {
            vec![("200", one("session", info(&session(), NOW)))]
        }
        "updateSessionTimeout" => vec![("200", one("session", info(&patched(), NOW)))],
        "listSessions" => vec![("200", sessions())],
        "deleteSession" => vec![("200", one("deleted", json!(Deleted::new(session_id()))))],
        "sendSessionMessage" => vec![("201", sent())],
        "streamSessionMessage" => vec![("200", streams::of_replies().examples())],
        "getSessionMessages" | "getChannelMessages" => vec![("200", messages())],
        "getSessionEvents" => vec![("200", streams::of_sessions().examples())],
        "submitMessage" => vec![("201", submitted())],
        "listAgents" => vec![("200", agent(|eliza| json!(list(eliza))))],
        "getAgent" => vec![("200", agent(dto::agent))],
        "exportSessions" => vec![("200", one("lines", json!(lines())))],
        "getStorage" => vec![("200", one("storage", json!(storage())))],
        "verifyStorage" => {
            let running = VerificationAnswer { started_at: NOW };
            vec![("202", one("running", json!(running)))]
        }
        "getMetrics" => vec![("200", one("figures", json!(FIGURES)))],
        "getSessionsHealth" => service(dto::health),
        "getHealth" => service(|health, _| dto::overall(health)),
        "getLiveness" => vec![("200", one("alive", json!({ "status": "ok" })))],
        _ => Vec::new(),
    }
}

fn one(name: &'static str, value: Value) -> Examples {
    vec![(name, value)]
}

fn storage() -> StorageAnswer {
    StorageAnswer::from(StorageInfo {
        path: Some("/var/lib/sessiond/sessiond.redb".into()),
        bytes: 4_268_032,
        free_bytes: Some(1_400_832),
        free_on_disk: Some(52_613_349_376),
        verified: Some(Verified {
            at: NOW,
            damaged_pages: 0,
        }),
        last_backup: Some(LastBackup {
            at: CREATED,
            bytes: 2_826_240,
        }),
    })
}

fn info(session: &Session, now: Timestamp) -> Value {
    json!(SessionInfo::new(session, now))
}

fn sessions() -> Examples {
    let stats = StatsInfo::from(stats());
    let page = json!({
        "sessions": [info(&session(), NOW)], "nextCursor": session_id(), "total": 42,
        "stats": stats,
    });
    let last = json!({ "sessions": [info(&session(), NOW)], "total": 42, "stats": stats });
    vec![("last", last), ("page", page)]
}

fn stats() -> Stats {
    Stats {
        active: 42,
        expired: 7,
        near_expiration: 3,
    }
}

fn sent() -> Examples {
    let message = message();
    let user_message = UserMessage::new(&session(), &message, Some("m-1"));
    let status = SessionStatus::new(&session(), true, NOW);
    vec![
        (
            "websocket",
            json!(Sent::of(user_message.clone(), None, status.clone())),
        ),
        (
            "http",
            json!(Sent::of(user_message, Some(&reply()), status)),
        ),
    ]
}

fn messages() -> Examples {
    let list = |messages| {
        let page = Page {
            messages,
            has_more: false,
        };
        json!(MessageList::new(&session(), &page))
    };
    let failure = TurnFailure::agent_error();
    vec![
        ("messages", list(vec![reply(), message()])),
        ("agentFailed", list(vec![unanswered(failure)])),
        ("none", list(Vec::new())),
    ]
}

fn submitted() -> Examples {
    one("submitted", json!(Submitted::new(&session(), &reply())))
}

/// The built-in agent, which every server has.
fn agent(shown: impl Fn(&Character) -> Value) -> Examples {
    let eliza = Character::built_in(CREATED).ok();
    let eliza = eliza.map(|eliza| ("agent", shown(&eliza)));
    eliza.into_iter().collect()
}

fn list(eliza: &Character) -> AgentListAnswer<'_> {
    AgentListAnswer::new([eliza].into_iter())
}

fn lines() -> String {
    let session = Item::Session(ArchivedSession {
        session: session(),
        claim: None,
        upstream: None,
    });
    let messages = [message(), reply()].map(|message| {
        Item::Message(ArchivedMessage {
            message,
            keys: Vec::new(),
            turn: None,
        })
    });
    [session]
        .iter()
        .chain(&messages)
        .map(archive::line)
        .collect()
}

/// How the service may be, as a call says it.
fn service(
    said: impl Fn(&Health, Timestamp) -> Map<String, Value>,
) -> Vec<(&'static str, Examples)> {
    let of = |status, reasons: &[Reason], invalid_sessions| {
        let health = Health {
            status,
            reasons: reasons.to_vec(),
            stats: Some(stats()),
            invalid_sessions,
            uptime: Duration::from_millis(3_600_500),
        };
        said(&health, NOW)
    };
    let works = vec![
        ("healthy", json!(of(Status::Healthy, &[], 0))),
        (
            "degraded",
            json!(of(Status::Degraded, &[Reason::UndecodableRecords], 1)),
        ),
    ];
    let fails = unhealthy(of(Status::Unhealthy, &[Reason::NoSpace], 0), NOW);
    vec![("200", works), ("503", one("unhealthy", json!(fails)))]
}
