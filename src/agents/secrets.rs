//! The secrets that agents' settings name.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};

/// The values of all variables that agents' settings have named since the start. What one agent's
/// server reports may hold another agent's key. Clones share the values.
#[derive(Clone, Default)]
pub(crate) struct BackendSecrets(Arc<Mutex<Vec<SecretString>>>);

impl BackendSecrets {
    /// Adds a value, without the blanks around it.
    pub(super) fn add(&self, secret: &SecretString) {
        let secret = secret.expose_secret().trim();
        // No code panics with the lock held.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.iter().any(|other| other.expose_secret() == secret);
        if !secret.is_empty() && !is_known {
            known.push(secret.into());
        }
    }

    /// Returns all values.
    pub(super) fn all(&self) -> Vec<SecretString> {
        let known = self.0.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for BackendSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackendSecrets(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_stored_once_and_without_blanks() {
        let secrets = BackendSecrets::default();
        for value in ["key", " key\n", "", " ", "other"] {
            secrets.clone().add(&value.into());
        }
        let all = secrets.all();
        let all: Vec<_> = all.iter().map(SecretString::expose_secret).collect();
        assert_eq!(all, ["key", "other"]);
        assert_eq!(format!("{secrets:?}"), "BackendSecrets(..)");
    }
}
