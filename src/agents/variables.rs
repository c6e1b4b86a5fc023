//! The environment's variables, as far as a character names them.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

type LookUp = dyn Fn(&str) -> Option<SecretString> + Send + Sync;

/// Looks a variable up. What it finds is a secret until it is known to be none.
#[derive(Clone)]
pub struct Variables(Arc<LookUp>);

impl Variables {
    /// The variables that this finds.
    pub fn new(look_up: impl Fn(&str) -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// The value of a variable, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<SecretString> {
        self.0(name)
    }
}

impl Default for Variables {
    /// None is set.
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(..)")
    }
}
