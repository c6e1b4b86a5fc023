//! What each role may do.

use super::identity::Principal;

/// Who may use something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every client. It contains no data.
    Public,
    /// Clients with credentials. Users are limited to their own sessions.
    Authenticated,
    /// The session list, transcripts and the search: admins, and users for their own sessions.
    SessionList,
    /// What external agents use: clients with the server token, and admins.
    Agent,
    /// Admins.
    Admin,
}

impl Access {
    /// Returns whether a client is permitted. `has_admins` is whether admins are distinguished from
    /// clients with the server token; if not, those are admins.
    #[must_use]
    #[allow(clippy::match_same_arms, reason = "one line per rule")]
    pub fn permits(self, principal: Principal, has_admins: bool) -> bool {
        match (self, principal) {
            (Self::Public | Self::Authenticated, _)
            | (_, Principal::Anonymous | Principal::Admin) => true,
            (Self::Agent, Principal::Server) => true,
            (Self::SessionList | Self::Admin, Principal::Server) => !has_admins,
            (Self::SessionList, Principal::User(_)) => true,
            (Self::Agent | Self::Admin, Principal::User(_)) => false,
        }
    }

    /// Returns whether each use is audited.
    #[must_use]
    pub fn is_for_admins(self) -> bool {
        matches!(self, Self::SessionList | Self::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::UserId;

    #[test]
    fn each_role_has_the_documented_permissions() {
        let user = Principal::User(UserId::from(1));
        let principals = [
            Principal::Anonymous,
            Principal::Server,
            user,
            Principal::Admin,
        ];
        let table = [
            (Access::Public, [true; 4], [true; 4]),
            (Access::Authenticated, [true; 4], [true; 4]),
            (Access::SessionList, [true; 4], [true, false, true, true]),
            (
                Access::Agent,
                [true, true, false, true],
                [true, true, false, true],
            ),
            (
                Access::Admin,
                [true, true, false, true],
                [true, false, false, true],
            ),
        ];
        for (access, without_admins, with_admins) in table {
            let permits =
                |has_admins| principals.map(|principal| access.permits(principal, has_admins));
            assert_eq!(permits(false), without_admins, "{access:?}");
            assert_eq!(permits(true), with_admins, "{access:?}");
        }
    }
}
