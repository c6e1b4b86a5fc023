//! The bounds of imported values.
//!
//! The server exports only values within them, so its own database needs no check. Lines from
//! elsewhere may have any values, and what the API would refuse must not be stored this way either.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::archive::{ArchivedMessage, ArchivedSession, Item};
use crate::domain::continued::MAX_COPIED_MESSAGES;
use crate::domain::message::{
    Body, MAX_ACTIONS_BYTES, MAX_METADATA_BYTES, MAX_SENDER_NAME_CHARS, MAX_THOUGHT_BYTES, Role,
    Sender, TurnFailure, TurnState, check_attachment_count, check_attachments, check_content,
};
use crate::domain::session::Session;
use crate::domain::time::{Millis, TimeScale, Timestamp};
use crate::domain::timeout::LONGEST_TIMEOUT_MINUTES;
use crate::domain::turn::{MAX_ERROR_CHARS, MAX_OPEN_TURNS, MAX_SUBMITTED_BYTES, OpenTurn};
use crate::domain::waiting::SubmittedError;
use crate::json::{self, Field};
use crate::message_json;

/// The largest metadata of an agent's message, in bytes of compact JSON. The server adds the
/// model's name and other facts to what the agent sends.
const MAX_REPLY_METADATA_BYTES: usize = MAX_METADATA_BYTES + 4096;

/// The longest error code of a turn, in bytes.
const MAX_CODE_BYTES: usize = 64;

/// The longest id of a session on another server, in bytes.
const MAX_REMOTE_BYTES: usize = 201;

/// How far the clock of the exporting server may be ahead.
const MAX_SKEW: Millis = Millis(24 * 60 * 60 * 1000);

/// Turns are queued after the last one, so positions stay far below this.
const MAX_POSITION: u32 = u32::MAX / 2;

/// A line's number and its item, or what is wrong with the line.
type Line = (u64, Result<Item, String>);

/// Replaces the items that the API would refuse to store by the reasons.
pub fn within_bounds(
    lines: impl Iterator<Item = Line>,
    now: Timestamp,
) -> impl Iterator<Item = Line> {
    let mut open_turns = 0;
    lines.map(move |(number, item)| {
        let item = item.and_then(|item| check(&item, &mut open_turns, now).map(|()| item));
        (number, item)
    })
}

/// Checks an item. `open_turns` counts those of the session so far.
fn check(item: &Item, open_turns: &mut usize, now: Timestamp) -> Result<(), String> {
    match item {
        Item::Session(archived) => {
            *open_turns = 0;
            session(archived, now)
        }
        Item::Message(archived) => {
            *open_turns += usize::from(archived.message.has_open_turn());
            if *open_turns > MAX_OPEN_TURNS {
                return Err(format!("a session has at most {MAX_OPEN_TURNS} open turns"));
            }
            not_in_future("createdAt", archived.message.created_at, now)?;
            message(archived)
        }
        Item::Quarantined(_) | Item::Deleted(_) => Ok(()),
    }
}

fn session(archived: &ArchivedSession, now: Timestamp) -> Result<(), String> {
    let session = &archived.session;
    timeouts(session)?;
    not_in_future("lastActivity", session.last_activity, now)?;
    times(session, now)?;
    if let Some(claim) = &archived.create_key_use
        && claim.created_at > session.expires_at
    {
        return Err("claim.createdAt is after expiresAt".into());
    }
    metadata("metadata", Some(&session.metadata), MAX_METADATA_BYTES)?;
    if let Some(continued) = session.continued_from
        && usize::try_from(continued.copied).is_ok_and(|copied| copied > MAX_COPIED_MESSAGES)
    {
        return Err(format!(
            "continuedFrom.copied is above {MAX_COPIED_MESSAGES}"
        ));
    }
    archived.remote_session.as_deref().map_or(Ok(()), remote)
}

fn not_in_future(name: &str, at: Timestamp, now: Timestamp) -> Result<(), String> {
    if at > now + MAX_SKEW {
        return Err(format!("{name} is in the future: {at}"));
    }
    Ok(())
}

fn timeouts(session: &Session) -> Result<(), String> {
    let timeout = session.timeout;
    let longest = LONGEST_TIMEOUT_MINUTES;
    for (name, minutes, (min, max)) in [
        ("timeoutMinutes", timeout.timeout_minutes, (1, longest)),
        (
            "maxDurationMinutes",
            timeout.max_duration_minutes,
            (timeout.timeout_minutes, 2 * longest),
        ),
        (
            "warningThresholdMinutes",
            timeout.warning_threshold_minutes,
            (1, longest),
        ),
    ] {
        if !(min..=max).contains(&minutes) {
            return Err(format!(
                "timeoutConfig.{name} must be between {min} and {max}, not {minutes}"
            ));
        }
    }
    Ok(())
}

/// Checks that the times are in their order, and that the session expires no later than its
/// timeouts allow, unless it has expired.
fn times(session: &Session, now: Timestamp) -> Result<(), String> {
    let timeout = session.timeout;
    // Time passes faster on servers with another scale, never slower.
    let after = |start, minutes| start + TimeScale::REAL.minutes(minutes);
    let (created, window) = (session.created_at, session.window_start);
    let (expires, warning) = (session.expires_at, session.warn_at);
    let has_expired = expires <= now;
    let earliest_warning = expires - TimeScale::REAL.minutes(timeout.warning_threshold_minutes);
    let rules = [
        (created <= window, "windowStart is before createdAt"),
        (
            window <= session.last_activity,
            "lastActivity is before windowStart",
        ),
        (created < expires, "expiresAt is not after createdAt"),
        (
            has_expired || expires <= after(window, timeout.timeout_minutes),
            "expiresAt is later than windowStart and timeoutMinutes allow",
        ),
        (
            has_expired || expires <= after(created, timeout.max_duration_minutes),
            "expiresAt is later than createdAt and maxDurationMinutes allow",
        ),
        (
            (earliest_warning..=expires).contains(&warning),
            "warnAt is not within warningThresholdMinutes of expiresAt",
        ),
        (
            session.scheduled_at <= expires,
            "scheduledAt is after expiresAt",
        ),
    ];
    let violated = rules.iter().find(|(holds, _)| !holds);
    violated.map_or(Ok(()), |(_, reason)| Err((*reason).to_owned()))
}

/// Checks the id of a remote session, which becomes part of a path. A plus sign precedes an unused
/// one.
fn remote(name: &str) -> Result<(), String> {
    let id = name.strip_prefix('+').unwrap_or(name);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !id.is_empty() && name.len() <= MAX_REMOTE_BYTES && id.bytes().all(is_allowed) {
        return Ok(());
    }
    Err("upstream is not a session id of another server".into())
}

fn message(archived: &ArchivedMessage) -> Result<(), String> {
    let body = &archived.message.body;
    match &archived.message.role {
        Role::User { sender, turn, .. } => {
            check_content(&body.content).map_err(|invalid| invalid.reason().to_owned())?;
            metadata("metadata", body.metadata.as_deref(), MAX_METADATA_BYTES)?;
            user_attachments(body.attachments.as_deref())?;
            sender_name(sender)?;
            if let TurnState::Failed(failure) = turn {
                turn_failure(failure)?;
            }
        }
        Role::Agent {
            thought, actions, ..
        } => agent_message(body, thought.as_deref(), actions.as_deref())?,
    }
    archived.turn.as_ref().map_or(Ok(()), open_turn)?;
    archived.errors.iter().try_for_each(submitted_error)
}

fn agent_message(body: &Body, thought: Option<&str>, actions: Option<&str>) -> Result<(), String> {
    if body.content.len() > MAX_SUBMITTED_BYTES {
        let bytes = body.content.len();
        return Err(format!(
            "content must be at most {MAX_SUBMITTED_BYTES} bytes, not {bytes}"
        ));
    }
    metadata(
        "metadata",
        body.metadata.as_deref(),
        MAX_REPLY_METADATA_BYTES,
    )?;
    attachments(body.attachments.as_deref())?;
    thought_and_actions(thought, actions)
}

fn thought_and_actions(thought: Option<&str>, actions: Option<&str>) -> Result<(), String> {
    if thought.is_some_and(|thought| thought.len() > MAX_THOUGHT_BYTES) {
        return Err(format!("thought must be at most {MAX_THOUGHT_BYTES} bytes"));
    }
    match actions.map(compact_length) {
        Some(bytes) if bytes > MAX_ACTIONS_BYTES => Err(format!(
            "actions must be at most {MAX_ACTIONS_BYTES} bytes as compact JSON, not {bytes}"
        )),
        _ => Ok(()),
    }
}

fn sender_name(sender: &Sender) -> Result<(), String> {
    let name = sender.name.as_deref().unwrap_or_default();
    if name.chars().count() > MAX_SENDER_NAME_CHARS {
        return Err(format!(
            "user.senderName must be at most {MAX_SENDER_NAME_CHARS} characters"
        ));
    }
    Ok(())
}

fn turn_failure(failure: &TurnFailure) -> Result<(), String> {
    if failure.code.len() > MAX_CODE_BYTES {
        return Err(format!(
            "user.turn.failure.code must be at most {MAX_CODE_BYTES} bytes"
        ));
    }
    error_message("user.turn.failure.message", &failure.message)
}

fn open_turn(turn: &OpenTurn) -> Result<(), String> {
    if turn.position > MAX_POSITION {
        return Err(format!(
            "user.turn.open.position must be at most {MAX_POSITION}"
        ));
    }
    Ok(())
}

fn submitted_error(error: &SubmittedError) -> Result<(), String> {
    error_message("errors.message", &error.message)?;
    let own = error.metadata.as_deref();
    metadata("errors.metadata", own, MAX_METADATA_BYTES)?;
    attachments(error.attachments.as_deref())?;
    thought_and_actions(error.thought.as_deref(), error.actions.as_deref())?;
    if error.failed.len() > MAX_OPEN_TURNS {
        return Err(format!("errors.failed has more than {MAX_OPEN_TURNS} ids"));
    }
    Ok(())
}

fn error_message(name: &str, message: &str) -> Result<(), String> {
    if message.chars().count() > MAX_ERROR_CHARS {
        return Err(format!(
            "{name} must be at most {MAX_ERROR_CHARS} characters"
        ));
    }
    Ok(())
}

fn metadata(name: &str, text: Option<&str>, max: usize) -> Result<(), String> {
    let bytes = text.map_or(0, compact_length);
    if bytes <= max {
        return Ok(());
    }
    Err(format!(
        "{name} must be at most {max} bytes as compact JSON, not {bytes}"
    ))
}

fn user_attachments(text: Option<&str>) -> Result<(), String> {
    let list = text.map(parse::<Vec<Value>>).transpose()?;
    message_json::attachments(list.map_or(Field::Absent, Field::Value))
        .map(drop)
        .map_err(|invalid| invalid.reason().to_owned())
}

/// Checks the attachments of an agent, whose form was checked when they were received.
fn attachments(text: Option<&str>) -> Result<(), String> {
    let Some(text) = text else { return Ok(()) };
    let list: Vec<Value> = parse(text)?;
    check_attachment_count(list.len())
        .and_then(|()| check_attachments(compact_length(text)))
        .map_err(|invalid| invalid.reason().to_owned())
}

/// Returns the length of JSON without the space between its parts.
fn compact_length(text: &str) -> usize {
    let value: Result<Value, _> = parse(text);
    value.map_or(text.len(), |value| json::text(&value).len())
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| json::explain(&error))
}
