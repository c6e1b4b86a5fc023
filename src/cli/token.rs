//! `sessiond token`

use anyhow::Context as _;

use crate::guard::identity::random_token;

/// Prints a fresh random token.
pub(super) fn run() -> anyhow::Result<()> {
    super::say(&random_token().context("the system gives no random numbers")?)
}
