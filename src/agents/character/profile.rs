//! The public part of a character file.

use serde::Deserialize;
use serde_json::Value;

/// What clients and models may see of a character file, as it stands there: never its settings,
/// secrets or knowledge.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// A string, or a list of lines.
    pub(crate) bio: Option<Value>,
    pub(crate) username: Option<Value>,
    pub(crate) system: Option<Value>,
    pub(crate) adjectives: Option<Value>,
    pub(crate) topics: Option<Value>,
    pub(crate) style: Option<Value>,
    pub(crate) message_examples: Option<Value>,
    pub(crate) post_examples: Option<Value>,
    pub(crate) plugins: Option<Value>,
}
