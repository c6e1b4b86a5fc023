//! Text that stands in JSON as it is: it has nothing to escape.
//!
//! A page of messages has hundreds of ids and times in it. Whoever writes them knows by the name
//! of the newtype around them that they need not be looked over.

use serde::Serializer;

/// The newtype's name. Most serializers see only the text in it.
pub const PLAIN: &str = "sessiond::Plain";

/// Writes text that has nothing to escape.
pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(PLAIN, text)
}
