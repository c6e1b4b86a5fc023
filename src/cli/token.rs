//! `sessiond token`

use std::fmt::Write as _;

use anyhow::Context as _;

/// How many random bytes a token has: more than anybody can guess.
const BYTES: usize = 32;

/// Prints a fresh random token.
pub(super) fn run() -> anyhow::Result<()> {
    super::say(&token()?);
    Ok(())
}

fn token() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    let mut token = String::with_capacity(2 * BYTES);
    for byte in bytes {
        write!(token, "{byte:02x}")?;
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_another_one_of_32_bytes() {
        let [one, two] = [token().unwrap(), token().unwrap()];
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
