//! Ids derived from text, as `ElizaOS` derives them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::{Digest, Sha1};
use uuid::Uuid;

/// What JavaScript's `encodeURIComponent` escapes (ECMA-262, `Encode`), beside non-ASCII
/// characters.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Returns the id that `ElizaOS` derives from a text: its `stringToUuid` takes the SHA-1 of the
/// text as `encodeURIComponent` writes it, and sets variant and version in its own way.
///
/// `stringToUuid` returns a text that is a UUID as it is; this function derives an id from it too.
#[must_use]
pub fn derive_uuid(text: &str) -> Uuid {
    let mut digest = Sha1::new();
    for part in utf8_percent_encode(text, URI_COMPONENT) {
        digest.update(part);
    }
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] &= 0x0f;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_elizaos_derives() {
        // Computed with Node.js, as `stringToUuid` does.
        for (text, id) in [
            ("Eliza", "b850bc30-45f8-0041-a00a-83df46d8555d"),
            (
                "auth0|5f7c8ec7c33c6c004bbafe82",
                "c314d7d5-506e-0c43-a5b5-74be82d35b99",
            ),
            ("ada@example.com", "a8bb4cce-bc75-0e53-96b9-2032deb9317b"),
            ("Zoë (2)!", "6f7b7043-3bf9-0895-8f2b-f29ffe36f780"),
            ("u", "51e69892-ab49-0f85-8623-0ccc57f8e1d1"),
            ("😀 ~*_.-'()", "7b07cdaf-3b1c-0e7c-b1af-0b3fd0b53e17"),
            ("  padded ", "cf275617-cfe4-0963-9c02-82b0cccbd6ca"),
            (
                "a/b?c=d&e;f:g@h+i,j$k#l%m",
                "8ea97adf-37d2-0318-9ec4-8df487408d3b",
            ),
            (
                "3c90c3cc-0d44-4b50-8888-8dd25736052a",
                "1864e6d8-69a9-0467-bdf3-c8a182645cc5",
            ),
        ] {
            assert_eq!(derive_uuid(text).to_string(), id, "{text}");
        }
    }
}
