//! Sessions and messages as text. Nothing of them reaches the terminal with control characters.

use std::collections::HashMap;

use chrono::DateTime;
use serde_json::Value;

use super::super::columns;
use super::super::output::one_line;
use crate::domain::time::Timestamp;

/// The longest title in a list, in characters: with a user's id, a line has 80 columns.
const MAX_TITLE: usize = 40;

/// The longest excerpt of a found message, in characters.
const MAX_EXCERPT: usize = 76;

/// Characters of an excerpt before what was found.
const BEFORE: usize = 20;

/// The names of the agents by their ids.
pub(super) type AgentNames = HashMap<String, String>;

/// Returns two lines for each session.
pub(super) fn list(sessions: &[Value], names: &AgentNames, now: Timestamp) -> String {
    let rows: Vec<_> = sessions
        .iter()
        .map(|session| {
            [
                text(&session["sessionId"]),
                ago(&session["lastActivity"], now),
                left(session),
                agent(&text(&session["agentId"]), names),
            ]
        })
        .collect();
    let table = columns::format(&rows);
    let lines = table.lines().zip(sessions).map(|(line, session)| {
        let (user, title) = (text(&session["userId"]), shown_title(session));
        format!("{line}\n  {user}  {title}").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the details of a session and messages of it.
pub(super) fn session(
    session: &Value,
    messages: &[Value],
    names: &AgentNames,
    now: Timestamp,
) -> String {
    let agent_id = text(&session["agentId"]);
    let details = details(session, &agent_id, names, now);
    let rows: Vec<_> = details
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| [label.to_owned(), value])
        .collect();
    let messages = messages.iter().map(|it| message(it, &agent_id, names));
    let parts = [columns::format(&rows)].into_iter().chain(messages);
    parts.collect::<Vec<_>>().join("\n\n")
}

/// Returns the labels and values of a session's details.
fn details(
    session: &Value,
    agent_id: &str,
    names: &AgentNames,
    now: Timestamp,
) -> [(&'static str, String); 11] {
    let status = match session["retainedUntil"].as_str() {
        Some(until) => format!("expired, retained until {}", one_line(until)),
        None => format!("active, {}", left(session)),
    };
    let agent = format!("{} {agent_id}", one_line(known(agent_id, names)));
    let activity = &session["lastActivity"];
    let timeout = &session["timeoutConfig"];
    let is_automatic = timeout["autoRenew"] == true;
    let renewed = if is_automatic {
        "by activity"
    } else {
        "on request"
    };
    let timeout = format!("{} min, renewed {renewed}", timeout["timeoutMinutes"]);
    [
        ("session", text(&session["sessionId"])),
        ("title", text(&session["metadata"]["title"])),
        ("agent", agent.trim().to_owned()),
        ("user", text(&session["userId"])),
        ("status", status),
        ("created", text(&session["createdAt"])),
        (
            "last activity",
            format!("{}, {}", text(activity), ago(activity, now)),
        ),
        ("expires", text(&session["expiresAt"])),
        ("timeout", one_line(&timeout)),
        ("continues", text(&session["continuedFrom"]["sessionId"])),
        ("metadata", one_line(&session["metadata"].to_string())),
    ]
}

/// Returns the author, the time and the indented lines of a message.
fn message(message: &Value, agent_id: &str, names: &AgentNames) -> String {
    let author = author(message, agent_id, names);
    let content = message["content"].as_str().unwrap_or_default();
    let lines = content.lines().map(|line| format!("  {}", one_line(line)));
    let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
    format!(
        "{author}, {}\n{}",
        text(&message["createdAt"]),
        lines.join("\n")
    )
}

fn author(message: &Value, agent_id: &str, names: &AgentNames) -> String {
    if message["isAgent"] == true {
        return agent(agent_id, names);
    }
    "user".to_owned()
}

/// Returns two lines for each message: where it is, and the part of it around the query.
pub(super) fn found(messages: &[Value], query: &str, names: &AgentNames) -> String {
    let lines = messages.iter().map(|message| {
        let author = author(message, &text(&message["agentId"]), names);
        let place = [&message["sessionId"], &message["createdAt"]].map(text);
        let content = message["content"].as_str().unwrap_or_default();
        format!(
            "{}  {author}\n  {}",
            place.join("  "),
            excerpt(content, query)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the part of a text around the first place of a query, in one line.
fn excerpt(content: &str, query: &str) -> String {
    let content = one_line(content);
    let lower = content.to_lowercase();
    // Lower case rarely changes the number of characters, and then the part is only shifted.
    let at = lower.find(&query.to_lowercase()).unwrap_or(0);
    let at = lower[..at].chars().count();
    let start = at.saturating_sub(BEFORE);
    let part: String = content.chars().skip(start).collect();
    let begin = if start > 0 { "…" } else { "" };
    cut(&format!("{begin}{}", part.trim()), MAX_EXCERPT)
}

/// Returns the title of a session, or the beginning of its last message in quotes.
fn shown_title(session: &Value) -> String {
    let title = text(&session["metadata"]["title"]);
    let last = text(&session["lastMessage"]["content"]);
    if !title.trim().is_empty() {
        return cut(title.trim(), MAX_TITLE);
    }
    if last.is_empty() {
        return String::new();
    }
    format!("“{}”", cut(&last, MAX_TITLE - 2))
}

/// Returns a text of at most `max` characters.
fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(max - 1).collect();
    format!("{}…", beginning.trim_end())
}

fn text(value: &Value) -> String {
    one_line(value.as_str().unwrap_or_default())
}

/// Returns the name of an agent, or its id if no agent has it any more.
fn agent(id: &str, names: &AgentNames) -> String {
    match known(id, names) {
        "" => id.to_owned(),
        name => one_line(name),
    }
}

fn known<'a>(id: &str, names: &'a AgentNames) -> &'a str {
    names.get(id).map_or("", String::as_str)
}

/// Returns how long ago an instant was.
fn ago(instant: &Value, now: Timestamp) -> String {
    let parsed = instant.as_str().map(DateTime::parse_from_rfc3339);
    match parsed {
        // The clock of another machine may be ahead.
        Some(Ok(at)) => format!("{} ago", span((now.0 - at.timestamp_millis()).max(0))),
        _ => text(instant),
    }
}

fn left(session: &Value) -> String {
    match session["timeRemaining"].as_i64() {
        Some(millis @ 1..) => format!("{} left", span(millis)),
        _ => "expired".to_owned(),
    }
}

/// Formats a span in its largest unit.
fn span(millis: i64) -> String {
    let seconds = millis / 1000;
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
