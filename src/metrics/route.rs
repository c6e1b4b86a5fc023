//! The paths of requests, as labels: few, whatever clients ask for.

/// What a path is a path of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The list of sessions.
    Sessions,
    /// The state of the service.
    SessionsHealth,
    /// A session.
    Session,
    /// A session's messages.
    Messages,
    /// A session's renewal.
    Renew,
    /// A session's timeouts.
    Timeout,
    /// A session's heartbeat.
    Heartbeat,
    /// What happens in a session.
    Events,
    /// A session's transcript.
    Transcript,
    /// A reply from outside.
    Submit,
    /// The list of agents.
    Agents,
    /// An agent.
    Agent,
    /// A copy of the database.
    Backup,
    /// The sessions as lines of JSON.
    Export,
    /// Any other call for administrators.
    Admin,
    /// These figures.
    Metrics,
    /// Whether all is well.
    Health,
    /// Whether the process is there.
    Alive,
    /// The description of the API.
    OpenApi,
    /// The console, its files, and the page over the description.
    Console,
    /// Socket.IO.
    Sockets,
    /// Anything else.
    Unknown,
}

/// The labels, in the order of the routes.
pub(super) const LABELS: [&str; 22] = [
    "/api/messaging/sessions",
    "/api/messaging/sessions/health",
    "/api/messaging/sessions/{sessionId}",
    "/api/messaging/sessions/{sessionId}/messages",
    "/api/messaging/sessions/{sessionId}/renew",
    "/api/messaging/sessions/{sessionId}/timeout",
    "/api/messaging/sessions/{sessionId}/heartbeat",
    "/api/messaging/sessions/{sessionId}/events",
    "/api/messaging/channels/{channelId}/messages",
    "/api/messaging/submit",
    "/api/agents",
    "/api/agents/{agentId}",
    "/api/admin/backup",
    "/api/admin/export",
    "/api/admin",
    "/metrics",
    "/health",
    "/healthz",
    "/openapi.json",
    "/",
    "/socket.io",
    "unknown",
];

const SESSIONS: &str = "/api/messaging/sessions";
const CHANNELS: &str = "/api/messaging/channels/";
const AGENTS: &str = "/api/agents/";

impl Route {
    /// The route of a path without a trailing slash. It looks at the path's shape alone.
    #[must_use]
    pub fn of(path: &str) -> Self {
        match path.strip_prefix(SESSIONS) {
            Some("") => return Self::Sessions,
            Some("/health") => return Self::SessionsHealth,
            Some(rest) => return rest.strip_prefix('/').map_or(Self::Unknown, below_sessions),
            None => {}
        }
        match path {
            "/" | "/docs" => Self::Console,
            "/api/agents" => Self::Agents,
            "/api/messaging/submit" => Self::Submit,
            "/api/admin/backup" => Self::Backup,
            "/api/admin/export" => Self::Export,
            "/metrics" => Self::Metrics,
            "/health" => Self::Health,
            "/healthz" => Self::Alive,
            "/openapi.json" => Self::OpenApi,
            _ => by_prefix(path),
        }
    }

    /// How it is shown.
    #[must_use]
    pub fn label(self) -> &'static str {
        LABELS[self as usize]
    }
}

fn below_sessions(rest: &str) -> Route {
    match rest.split_once('/') {
        None => Route::Session,
        Some((_, "messages")) => Route::Messages,
        Some((_, "renew")) => Route::Renew,
        Some((_, "timeout")) => Route::Timeout,
        Some((_, "heartbeat")) => Route::Heartbeat,
        Some((_, "events")) => Route::Events,
        Some(_) => Route::Unknown,
    }
}

fn by_prefix(path: &str) -> Route {
    if let Some(id) = path.strip_prefix(AGENTS) {
        return if id.contains('/') {
            Route::Unknown
        } else {
            Route::Agent
        };
    }
    if let Some((_, "messages")) = path
        .strip_prefix(CHANNELS)
        .and_then(|rest| rest.split_once('/'))
    {
        return Route::Transcript;
    }
    if path.starts_with("/socket.io") {
        return Route::Sockets;
    }
    if path.starts_with("/console/") {
        return Route::Console;
    }
    if path.starts_with("/api/admin/") {
        return Route::Admin;
    }
    Route::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_the_shape_of_its_own_paths() {
        for label in LABELS.iter().filter(|label| **label != "/api/admin") {
            assert_eq!(Route::of(label).label(), *label);
        }
        let id = "0196c7a0-0000-7000-8000-000000000001";
        for (path, route) in [
            (format!("/api/messaging/sessions/{id}"), Route::Session),
            (
                format!("/api/messaging/sessions/{id}/events"),
                Route::Events,
            ),
            (
                format!("/api/messaging/sessions/{id}/other"),
                Route::Unknown,
            ),
            (
                format!("/api/messaging/sessions/{id}/renew/x"),
                Route::Unknown,
            ),
            (
                format!("/api/messaging/channels/{id}/messages"),
                Route::Transcript,
            ),
            (format!("/api/messaging/channels/{id}"), Route::Unknown),
            (format!("/api/agents/{id}"), Route::Agent),
            (format!("/api/agents/{id}/x"), Route::Unknown),
            ("/api/messaging/sessionsx".to_owned(), Route::Unknown),
            ("/api/admin/other".to_owned(), Route::Admin),
            ("/console/app.js".to_owned(), Route::Console),
            ("/wp-login.php".to_owned(), Route::Unknown),
        ] {
            assert_eq!(Route::of(&path), route, "{path}");
        }
    }
}
