//! The client of a request, from its head.

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
    pub(super) principal: Result<Principal, Unauthorized>,
    /// The client's address, as far as it can be trusted. `None` over the Unix socket.
    pub(super) address: Option<IpAddr>,
    authenticator: Arc<Authenticator>,
}

impl Authentication {
    /// Returns the client of a call. Fails on invalid credentials, or if `access` denies its role.
    pub(super) fn admit(&self, access: Access) -> Result<ClientContext, Box<ApiError>> {
        let principal = match access {
            Access::Public => Principal::Anonymous,
            _ => self.principal.map_err(|_| ApiError::unauthorized())?,
        };
        if !self.authenticator.permits(principal, access) {
            return Err(ApiError::not_permitted().into());
        }
        Ok(ClientContext {
            principal,
            address: self.address,
        })
    }
}

/// Adds the client to a request. Over the Unix socket it is an admin and needs no credentials. The
/// routes decide what it may do.
pub(super) fn authenticate(authenticator: &Arc<Authenticator>, mut request: Request) -> Request {
    let Some(connection) = request.extensions().get::<Arc<Connection>>() else {
        return request;
    };
    let headers = request.headers();
    let peer = connection.address();
    let authentication = Authentication {
        principal: match peer {
            Some(_) => authenticator.identify(&Credentials::from_headers(headers)),
            None => Ok(Principal::Admin),
        },
        address: peer.map(|peer| authenticator.proxies.client(peer, headers)),
        authenticator: Arc::clone(authenticator),
    };
    request.extensions_mut().insert(authentication);
    request
}
