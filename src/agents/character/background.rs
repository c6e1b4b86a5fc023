//! The part of a character file that only its model sees.

use serde_json::{Map, Value};

/// What a model may see of a character file, and clients may not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Background {
    /// A string, or a list of lines.
    pub(crate) lore: Option<Value>,
    /// A list of texts, of objects around texts, and of paths of files.
    pub(crate) knowledge: Option<Value>,
}

impl Background {
    /// Takes these members out of a character file.
    pub(super) fn take_from(members: &mut Map<String, Value>) -> Self {
        Self {
            lore: members.shift_remove("lore"),
            knowledge: members.shift_remove("knowledge"),
        }
    }
}
