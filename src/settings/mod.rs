//! The configuration. Nothing else reads the environment or the `.env` file.

mod access;
mod config;
mod declaration;
#[cfg(test)]
mod documents_tests;
mod effective;
pub mod env_file;
mod error;
mod input_file;
mod layers;
mod log_filter;
mod names;
mod secret;
#[cfg(test)]
mod tests;
mod values;

pub use self::access::weak_jwt_key;
pub use self::config::{Config, ServerConfig, StorageConfig};
pub use self::declaration::{SETTINGS, Setting};
pub use self::error::ConfigError;
pub use self::layers::Layers;
