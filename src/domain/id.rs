//! Identifiers: UUIDs, each kind of thing with a type of its own.

use std::fmt;

use uuid::Uuid;

/// Reads a UUID as the API accepts it: exactly 8-4-4-4-12 hex digits, in any case.
///
/// Version and variant are not checked: `ElizaOS`'s own ids carry version 0.
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    // Of the forms that the `uuid` crate reads, the hyphenated one alone has 36 characters.
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads the id from its text; see [`parse_uuid`].
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
    /// A session. It is its own channel: a `channelId` on the wire is this id too.
    SessionId
}
id! {
    /// A message, of the user or of the agent.
    MessageId
}
id! {
    /// A turn: one user message waiting for, or having got, the agent's reply.
    TurnId
}
id! {
    /// An agent, which is a character.
    AgentId
}
id! {
    /// A person, as the client names them.
    UserId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_of_a_uuid_is_read() {
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
