//! What each role may use.

use super::identity::Principal;

/// To whom something is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: it holds no data.
    Public,
    /// Whoever has credentials. What a user meets is confined to its own sessions.
    Authenticated,
    /// The session list: admins, and users for their own sessions.
    SessionList,
    /// What an agent that runs elsewhere uses: the server's token and admins.
    Agent,
    /// Admins.
    Admin,
}

impl Access {
    /// Whether a caller may. `has_admins` says whether admins are told apart from the server's
    /// token: where they are not, that token is all there is.
    #[must_use]
    // A line for each thing that is said.
    #[allow(clippy::match_same_arms)]
    pub fn permits(self, caller: Principal, has_admins: bool) -> bool {
        match (self, caller) {
            (Self::Public | Self::Authenticated, _)
            | (_, Principal::Anonymous | Principal::Admin) => true,
            (Self::Agent, Principal::Server) => true,
            (Self::SessionList | Self::Admin, Principal::Server) => !has_admins,
            (Self::SessionList, Principal::User(_)) => true,
            (Self::Agent | Self::Admin, Principal::User(_)) => false,
        }
    }

    /// Whether each use is written down.
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
    fn each_role_may_what_the_documentation_says() {
        let user = Principal::User(UserId::from(1));
        let callers = [
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
            let permits = |has_admins| callers.map(|caller| access.permits(caller, has_admins));
            assert_eq!(permits(false), without_admins, "{access:?}");
            assert_eq!(permits(true), with_admins, "{access:?}");
        }
    }
}
