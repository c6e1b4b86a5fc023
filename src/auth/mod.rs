//! Authentication and authorization, for every interface: credentials, roles, web pages, client
//! addresses and rate limits.

pub mod access;
pub mod address;
mod authenticator;
pub mod claims;
pub mod identity;
mod jwt;
pub mod origin;
pub mod rate;

pub use self::authenticator::{Authenticator, Policy};
pub use self::identity::ClientContext;
pub use self::jwt::{IssuedJwt, issue};
