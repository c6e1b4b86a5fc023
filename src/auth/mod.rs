//! Who may do what, by whichever way they come: credentials, what each role may, which web pages
//! may call, where a call comes from, and how often.

pub mod access;
pub mod address;
pub mod identity;
mod jwt;
pub mod origin;
pub mod rate;

use std::net::IpAddr;

use self::access::Access;
use self::address::TrustedProxies;
use self::identity::{Credentials, Identities, Principal, Tokens, Unauthorized};
use self::origin::Origins;
use self::rate::Rates;
use crate::clock::Clock;

/// What a guard is told.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The secrets that say who calls.
    pub tokens: Tokens,
    /// Which web pages may call.
    pub origins: Origins,
    /// Whose word on the client's address is taken.
    pub proxies: TrustedProxies,
    /// How often something may be done.
    pub rates: Rates,
}

/// Who makes a call, and from where.
#[derive(Debug, Clone, Copy)]
pub struct ClientContext {
    /// Who.
    pub principal: Principal,
    /// From which address, as far as it can be trusted. `None` over the Unix socket, to which no rate
    /// limits apply.
    pub address: Option<IpAddr>,
}

/// Stands before everything that can be called.
#[derive(Debug)]
pub struct Authenticator {
    identities: Identities,
    /// Which web pages may call.
    pub origins: Origins,
    /// Whose word on the client's address is taken.
    pub proxies: TrustedProxies,
}

impl Authenticator {
    /// A guard that follows a policy.
    #[must_use]
    pub fn new(policy: Policy, clock: Clock) -> Self {
        Self {
            identities: Identities::new(&policy.tokens, clock),
            origins: policy.origins,
            proxies: policy.proxies,
        }
    }

    /// Whether anybody is asked who they are.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.identities.ask()
    }

    /// Who has these credentials.
    ///
    /// # Errors
    /// Nobody has, and the server asks for some.
    pub fn identify(&self, credentials: &Credentials<'_>) -> Result<Principal, Unauthorized> {
        self.identities.identify(credentials)
    }

    /// Whether a caller may use what is open to some.
    #[must_use]
    pub fn permits(&self, caller: Principal, access: Access) -> bool {
        access.permits(caller, self.identities.has_admins())
    }
}
