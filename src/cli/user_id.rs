//! The users that arguments name.

use crate::domain::derived_id::derive_uuid;
use crate::domain::id::{UserId, parse_uuid};

/// Returns the id of a user: a UUID as it is, or the one that `ElizaOS` derives from another text.
pub(super) fn user_id(text: &str) -> Result<UserId, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("expected a UUID, or a name, from which one is derived".to_owned());
    }
    let id = parse_uuid(text).unwrap_or_else(|| derive_uuid(text));
    Ok(UserId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_uuid_or_a_text_from_which_it_is_derived() {
        let id = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
        assert_eq!(user_id(&id.to_uppercase()).unwrap().to_string(), id);
        assert_eq!(
            user_id(" ada@example.com ").unwrap().to_string(),
            "a8bb4cce-bc75-0e53-96b9-2032deb9317b"
        );
        assert!(user_id(" ").is_err());
    }
}
