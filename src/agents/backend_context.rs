//! What backends are constructed with.

use reqwest::Client;

use super::client::http_client;
use super::secrets::BackendSecrets;
use super::variables::Variables;

/// What all backends share: the variables that hold their secrets, those that they have named, and
/// the HTTP client.
#[derive(Debug, Clone)]
pub struct BackendContext {
    pub(super) variables: Variables,
    pub(super) secrets: BackendSecrets,
    pub(super) client: Client,
}

/// The HTTP client cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the HTTP client for other servers: {0}")]
pub struct ClientError(String);

impl BackendContext {
    /// Creates the HTTP client.
    ///
    /// # Errors
    /// The client cannot be created on this machine.
    pub fn new(variables: Variables) -> Result<Self, ClientError> {
        let client = http_client::client().map_err(|error| ClientError(error.to_string()))?;
        Ok(Self {
            variables,
            secrets: BackendSecrets::default(),
            client,
        })
    }
}
