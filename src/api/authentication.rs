//! Who calls, and from where.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;

use super::error::ApiError;
use crate::auth::access::Access;
use crate::auth::identity::{Credentials, Principal, Unauthorized};
use crate::auth::{Authenticator, ClientContext};
use crate::connections::Connection;

/// What the head of a request says about its client. An extension of every request.
#[derive(Debug, Clone)]
pub(super) struct Authentication {
    /// Who calls, or why that is not known.
    pub(super) principal: Result<Principal, Unauthorized>,
    /// From where, as far as that can be trusted. `None` over the Unix socket.
    pub(super) address: Option<IpAddr>,
    guard: Arc<Authenticator>,
}

/// Why a client may not make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nobody knows who it is.
    Unknown,
    /// Its role may not.
    Role,
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Self::unauthorized(),
            Denied::Role => Self::not_permitted(),
        }
    }
}

impl Authentication {
    /// Returns the client of a call that is open to `access`.
    ///
    /// # Errors
    /// The client is not known, or its role may not make such a call.
    pub(super) fn admit(&self, access: Access) -> Result<ClientContext, Denied> {
        let principal = match access {
            Access::Public => Principal::Anonymous,
            _ => self.principal.map_err(|_| Denied::Unknown)?,
        };
        if !self.guard.permits(principal, access) {
            return Err(Denied::Role);
        }
        Ok(ClientContext {
            principal,
            address: self.address,
        })
    }
}

/// Notes who calls: over the Unix socket an admin, who needs no credentials. What that allows is decided
/// by each route.
pub(super) fn authenticate(guard: &Arc<Authenticator>, mut request: Request) -> Request {
    let Some(connection) = request.extensions().get::<Arc<Connection>>() else {
        return request;
    };
    let headers = request.headers();
    let peer = connection.address();
    let authentication = Authentication {
        principal: match peer {
            Some(_) => guard.identify(&Credentials::of_headers(headers)),
            None => Ok(Principal::Admin),
        },
        address: peer.map(|peer| guard.proxies.client(peer, headers)),
        guard: Arc::clone(guard),
    };
    request.extensions_mut().insert(authentication);
    request
}
