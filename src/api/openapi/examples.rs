//! Examples of responses, made as the server makes its responses. The handlers name them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::sample::{
    AGENT_NAME, CREATED, NOW, RETENTION, created, expired, message, message_in, reply, session,
    session_id, waiting_turn,
};
use crate::api::dto::{
    self, AgentAnswer, AgentListAnswer, AgentResponse, AgentStatesAnswer, AgentTurns,
    CancelledTurns, Deleted, FoundMessageList, ImportAnswer, LogAnswer, MessageList,
    MetricsHistory, PrincipalInfo, ProbeAnswer, SentAnswer, SessionInfo, SessionStatus,
    SessionsHealth, SettingsAnswer, StatsInfo, StorageAnswer, Submitted, UserErased, UserMessage,
    VerificationAnswer, WithError,
};
use crate::api::error::ApiError;
use crate::app::error::Unavailable;
use crate::app::{
    AgentOverview, Character, EffectiveSetting, FoundMessage, FoundMessages, Health, Imported,
    LastBackup, MessagePreview, Page, ProbeOutcome, ProbedAgent, Reason, SECRET_IS_SET,
    SettingSource, Stats, Status, StorageInfo, Verified, WaitingTurns,
};
use crate::archive;
use crate::auth::identity::Principal;
use crate::domain::archive::{ArchivedMessage, ArchivedSession, Item};
use crate::domain::failure::FailureReason;
use crate::domain::id::AgentId;
use crate::domain::message::{Message, TurnFailure, TurnState};
use crate::domain::search::{MessageFilter, SearchPosition};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::waiting::WaitingPosition;
use crate::metrics::{AgentState, LastFailure, Point};
use crate::telemetry::LogLine;

/// A few of the metrics, valid in both formats.
pub(in crate::api) const METRICS: &str = "\
    # HELP sessiond_sessions_active Sessions that can be used.\n\
    # TYPE sessiond_sessions_active gauge\n\
    sessiond_sessions_active 42\n";

pub(in crate::api) fn created_session() -> Value {
    info(&created(30), CREATED)
}

pub(in crate::api) fn current_session() -> Value {
    info(&session(), NOW)
}

pub(in crate::api) fn patched_session() -> Value {
    info(&created(60), NOW)
}

fn info(session: &Session, now: Timestamp) -> Value {
    json!(SessionInfo::new(session, now, RETENTION))
}

pub(in crate::api) fn deleted_session() -> Value {
    json!(Deleted::new(session_id()))
}

pub(in crate::api) fn erased_user() -> Value {
    json!(UserErased::new(2))
}

pub(in crate::api) fn import() -> Value {
    json!(ImportAnswer::new(Imported {
        sessions: 1,
        messages: 2,
        quarantined: 0,
    }))
}

pub(in crate::api) fn user_principal() -> Value {
    json!(PrincipalInfo::from(Principal::User(session().user_id)))
}

pub(in crate::api) fn admin_principal() -> Value {
    json!(PrincipalInfo::from(Principal::Admin))
}

pub(in crate::api) fn session_list() -> Value {
    json!({
        "sessions": [current_session()], "total": 42, "stats": StatsInfo::from(stats()),
    })
}

pub(in crate::api) fn session_page() -> Value {
    json!({
        "sessions": [current_session()], "nextCursor": session_id(), "total": 42,
        "stats": StatsInfo::from(stats()),
    })
}

pub(in crate::api) fn sessions_with_last_messages() -> Value {
    let last = reply();
    let last = MessagePreview {
        is_agent: last.is_agent(),
        content: last.body.content,
        created_at: last.created_at,
    };
    let (session, new) = (session(), created(30));
    let info = |session, last| SessionInfo::new(session, NOW, RETENTION).with_last_message(last);
    json!({
        "sessions": [info(&session, Some(last)), info(&new, None)], "total": 42,
        "stats": StatsInfo::from(stats()),
    })
}

pub(in crate::api) fn expired_sessions() -> Value {
    json!({
        "sessions": [info(&expired(), NOW)], "total": 7, "stats": StatsInfo::from(stats()),
    })
}

fn stats() -> Stats {
    Stats {
        active: 42,
        expired: 7,
        near_expiration: 3,
    }
}

pub(in crate::api) fn sent(has_reply: bool) -> Value {
    let (message, reply) = (message(), reply());
    let reply = has_reply.then(|| AgentResponse::from(&reply));
    let user_message = UserMessage::new(&session(), &message, Some("m-1"));
    let status = SessionStatus::new(&session(), true, NOW);
    json!(SentAnswer::new(&user_message, reply.as_ref(), &status))
}

pub(in crate::api) fn messages() -> Value {
    message_list(vec![reply(), message()])
}

pub(in crate::api) fn messages_with_failure() -> Value {
    message_list(vec![message_in(TurnState::Failed(
        TurnFailure::agent_error(FailureReason::Unavailable),
    ))])
}

pub(in crate::api) fn no_messages() -> Value {
    message_list(Vec::new())
}

fn message_list(messages: Vec<Message>) -> Value {
    let page = Page {
        messages,
        has_more: false,
    };
    json!(MessageList::new(&session(), &page))
}

pub(in crate::api) fn found_messages(has_more: bool) -> Value {
    let session = Arc::new(session());
    let found = [reply(), message()].map(|message| FoundMessage {
        session: Arc::clone(&session),
        message,
    });
    let next = has_more.then_some(SearchPosition {
        session: session.id,
        at: CREATED,
    });
    let page = FoundMessages {
        messages: found.into(),
        next,
    };
    json!(FoundMessageList::new(&page, &MessageFilter::default()))
}

pub(in crate::api) fn submitted() -> Value {
    json!(Submitted::reply(&session(), &reply()))
}

pub(in crate::api) fn submitted_error() -> Value {
    json!(Submitted::error(&[message().id]))
}

pub(in crate::api) fn cancelled_turns() -> Value {
    json!(CancelledTurns::new(&[message().id]))
}

pub(in crate::api) fn no_cancelled_turns() -> Value {
    json!(CancelledTurns::new(&[]))
}

/// A page that is not the last one.
pub(in crate::api) fn agent_turns() -> Value {
    let turn = waiting_turn();
    let next = WaitingPosition {
        message_at: turn.turn.message_at,
        session_id: session_id(),
    };
    let page = WaitingTurns {
        turns: vec![turn],
        next: Some(next),
    };
    json!(AgentTurns::new(&page, AGENT_NAME))
}

pub(in crate::api) fn agent() -> Value {
    built_in_agent(|eliza| json!(AgentAnswer::from(eliza)))
}

pub(in crate::api) fn agents() -> Value {
    built_in_agent(|eliza| json!(AgentListAnswer::new([eliza].into_iter())))
}

pub(in crate::api) fn agent_states() -> Value {
    let last_failure = LastFailure {
        at: NOW,
        reason: Some(FailureReason::Misconfigured),
        cause: "it answered 404 Not Found: model \"gemma3\" not found, try pulling it first \
                (type api_error)"
            .to_owned(),
    };
    json!(AgentStatesAnswer::new(&[AgentOverview {
        id: AgentId::from(0xada),
        name: "Ada".to_owned(),
        backend: "openai",
        model: Some("gemma3".to_owned()),
        address: Some("http://127.0.0.1:11434/v1".to_owned()),
        state: AgentState {
            turns: 42,
            failures: 1,
            last_failure: Some(last_failure),
        },
    }]))
}

pub(in crate::api) fn probe() -> Value {
    probed(ProbeOutcome::Replied(Duration::from_millis(412)))
}

pub(in crate::api) fn probe_of_external() -> Value {
    json!(ProbeAnswer::from(&ProbedAgent {
        model: None,
        address: None,
        outcome: ProbeOutcome::RepliesLater,
    }))
}

pub(in crate::api) fn failed_probe() -> Value {
    probed(ProbeOutcome::Failed {
        reason: FailureReason::Unavailable,
        cause: "cannot connect: Connection refused (os error 111)".to_owned(),
    })
}

fn probed(outcome: ProbeOutcome) -> Value {
    json!(ProbeAnswer::from(&ProbedAgent {
        model: Some("gemma3".to_owned()),
        address: Some("http://127.0.0.1:11434/v1".to_owned()),
        outcome,
    }))
}

fn built_in_agent(show: impl Fn(&Character) -> Value) -> Value {
    let eliza = Character::built_in(CREATED);
    eliza.map_or(Value::Null, |eliza| show(&eliza))
}

pub(in crate::api) fn export() -> String {
    let session = Item::Session(ArchivedSession {
        session: session(),
        create_key_use: None,
        remote_session: None,
    });
    let messages = [message(), reply()].map(|message| {
        Item::Message(ArchivedMessage {
            message,
            keys: Vec::new(),
            turn: None,
            errors: Vec::new(),
        })
    });
    let items = [session].into_iter().chain(messages);
    items.map(|item| archive::line(&item)).collect()
}

pub(in crate::api) fn storage() -> Value {
    json!(StorageAnswer::from(StorageInfo {
        location: Some("/var/lib/sessiond/sessiond.redb".into()),
        bytes: 4_268_032,
        used_bytes: Some(2_867_200),
        free_on_disk: Some(52_613_349_376),
        verified: Some(Verified {
            at: NOW,
            damaged_pages: 0,
        }),
        last_backup: Some(LastBackup {
            at: CREATED,
            bytes: 2_826_240,
        }),
    }))
}

pub(in crate::api) fn settings() -> Value {
    let setting = |name, value: Option<&str>, source, default| EffectiveSetting {
        name,
        value: value.map(str::to_owned),
        source,
        default,
    };
    let settings = [
        setting(
            "SERVER_HOST",
            Some("0.0.0.0"),
            SettingSource::Flag,
            Some("127.0.0.1"),
        ),
        setting(
            "SERVER_PORT",
            Some("3000"),
            SettingSource::Default,
            Some("3000"),
        ),
        setting("LOG_FORMAT", None, SettingSource::Default, None),
        setting(
            "SESSIOND_ADMIN_TOKEN",
            Some(SECRET_IS_SET),
            SettingSource::File,
            None,
        ),
    ];
    json!(SettingsAnswer::new(&settings.into_iter().collect()))
}

/// Two points with a missed one in between.
pub(in crate::api) fn metrics_history() -> Value {
    let first = Point {
        requests_per_second: Some(120.4),
        errors_per_second: Some(0.0),
        request_p95_seconds: Some(0.0023),
        writes_per_second: Some(40.1),
        commit_p95_seconds: Some(0.0041),
        messages_per_second: Some(35.2),
        agent_failures: Some(1.0),
        turns_open: Some(3.0),
        active_sessions: Some(42.0),
        live_subscribers: Some(17.0),
        database_bytes: Some(4_268_032.0),
        free_disk_bytes: Some(52_613_349_376.0),
        resident_memory_bytes: Some(48_234_496.0),
        cpu_share: Some(0.08),
    };
    let last = Point {
        agent_failures: Some(0.0),
        turns_open: Some(2.0),
        ..first
    };
    json!(MetricsHistory::new(&[first, Point::default(), last]))
}

pub(in crate::api) fn verification() -> Value {
    json!(VerificationAnswer { started_at: NOW })
}

pub(in crate::api) fn log() -> Value {
    json!(LogAnswer::new(&[LogLine {
        at: NOW,
        level: "WARN",
        message: "answered".to_owned(),
        fields: vec![
            ("method", "POST".into()),
            (
                "route",
                "/api/messaging/sessions/{sessionId}/messages".into()
            ),
            ("status", 502.into()),
            ("elapsed_ms", json!(412.25)),
            ("request_id", "3f1c9a70-52f0-4b54-9d0e-1f3f8a5b7c21".into()),
        ],
    }]))
}

pub(in crate::api) fn healthy() -> Health {
    health(Status::Healthy, &[], 0)
}

pub(in crate::api) fn degraded() -> Health {
    health(Status::Degraded, &[Reason::UndecodableRecords], 1)
}

fn unhealthy() -> Health {
    health(Status::Unhealthy, &[Reason::NoSpace], 0)
}

fn health(status: Status, reasons: &[Reason], invalid_sessions: u64) -> Health {
    Health {
        status,
        reasons: reasons.to_vec(),
        stats: Some(stats()),
        invalid_sessions,
        uptime: Duration::from_millis(3_600_500),
    }
}

pub(in crate::api) fn sessions_health(health: &Health) -> SessionsHealth {
    SessionsHealth::new(health, NOW)
}

fn storage_error() -> Value {
    ApiError::from(Unavailable::Storage).document(NOW)
}

pub(in crate::api) fn sessions_unhealthy() -> Value {
    json!(WithError {
        health: sessions_health(&unhealthy()),
        error: storage_error(),
    })
}

pub(in crate::api) fn unhealthy_answer() -> Value {
    json!(WithError {
        health: dto::Health::from(&unhealthy()),
        error: storage_error(),
    })
}
