//! The environment variables that character files name.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

type LookUp = dyn Fn(&str) -> Option<SecretString> + Send + Sync;

/// Looks up environment variables. Each value counts as a secret.
#[derive(Clone)]
pub struct Variables(Arc<LookUp>);

impl Variables {
    /// Returns variables that `look_up` finds by name. It must not return empty values.
    pub fn new(look_up: impl Fn(&str) -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// Returns the value of a variable; `None` if it is not set or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<SecretString> {
        self.0(name)
    }
}

impl Default for Variables {
    /// Returns variables of which none is set.
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(..)")
    }
}
