//! The JSON of a session: changes of its metadata, and the digest of the request that created it.

mod digest;
mod merge;
#[cfg(test)]
mod tests;

pub use self::digest::{create_digest, metadata_digest};
pub use self::merge::{merged_metadata, metadata_patch};
