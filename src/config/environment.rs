//! Variables that are no settings of the server: character files name them.

use std::collections::HashMap;
use std::fmt;

use secrecy::SecretString;

/// Every variable that is set, by its name. What they hold is not shown.
#[derive(Clone, Default)]
pub struct Environment {
    values: HashMap<String, SecretString>,
}

impl Environment {
    /// The value of a variable, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<SecretString> {
        self.values.get(name).cloned()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        let values = values.into_iter();
        Self {
            values: values
                .map(|(name, value)| (name, SecretString::from(value)))
                .collect(),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(..)")
    }
}
