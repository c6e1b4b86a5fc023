//! Ids: UUIDs, with a type for each kind.

use std::fmt;

use uuid::Uuid;

/// Parses a UUID in the form that the API accepts: 8-4-4-4-12 hex digits, in any case. Version and
/// variant are not checked: the ids of `ElizaOS` have version 0.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    // Of the forms that the `uuid` crate accepts, only the hyphenated one has 36 characters.
    (text.len() == 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Parses the id; see [`parse_uuid`].
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                parse_uuid(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u128> for $name {
            fn from(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }
        }

        impl From<$name> for u128 {
            fn from(value: $name) -> Self {
                value.0.as_u128()
            }
        }
    };
}

id! {
    /// The id of a session, which is its `channelId` and `roomId` too.
    SessionId
}
id! {
    /// The id of a message.
    MessageId
}
id! {
    /// The id of a turn: a user's message and the agent's reply to it.
    TurnId
}
id! {
    /// The id of an agent.
    AgentId
}
id! {
    /// The id of a user, which the client chooses.
    UserId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_of_a_uuid_is_accepted() {
        let plain = "b850bc30-45f8-0041-a00a-83df46d8555d";
        assert_eq!(parse_uuid(plain).unwrap().to_string(), plain);
        assert_eq!(
            parse_uuid(&plain.to_uppercase()).unwrap().to_string(),
            plain
        );
        for wrong in [
            "",
            "abc-123",
            "b850bc3045f80041a00a83df46d8555d",
            "{b850bc30-45f8-0041-a00a-83df46d8555d}",
            "urn:uuid:b850bc30-45f8-0041-a00a-83df46d8555d",
            "b850bc30-45f8-0041-a00a-83df46d8555g",
            "b850bc3-045f8-0041-a00a-83df46d8555d",
            " b850bc30-45f8-0041-a00a-83df46d8555d",
        ] {
            assert_eq!(parse_uuid(wrong), None, "{wrong:?}");
        }
    }
}
