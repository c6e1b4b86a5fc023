//! Why a turn ended without a reply.

/// The cause of a failed turn, by which a client decides what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The agent's server cannot be reached or cannot work at present.
    Unavailable,
    /// The agent's server is overloaded.
    Busy,
    /// The conversation is longer than the agent accepts.
    TooLong,
    /// The agent declined to answer.
    Refused,
    /// The operator has to change a setting of the agent.
    Misconfigured,
    /// The agent did not answer in time.
    Timeout,
    /// The agent's answer was interrupted or cannot be read.
    InvalidReply,
    /// A client cancelled the turn.
    Cancelled,
    /// The session expired before the agent was asked.
    Expired,
    /// The server is at fault.
    Internal,
}

impl FailureReason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Unavailable,
        Self::Busy,
        Self::TooLong,
        Self::Refused,
        Self::Misconfigured,
        Self::Timeout,
        Self::InvalidReply,
        Self::Cancelled,
        Self::Expired,
        Self::Internal,
    ];

    /// Returns the name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::TooLong => "too_long",
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
            Self::Timeout => "timeout",
            Self::InvalidReply => "invalid_reply",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Internal => "internal",
        }
    }

    /// Returns the reason with this name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Returns the reason that an error code implies. Failures that older versions stored have no
    /// reason of their own.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "AGENT_TIMEOUT" => Some(Self::Timeout),
            "SESSION_EXPIRED" => Some(Self::Expired),
            _ => None,
        }
    }
}
