//! `sessiond jwt USER`

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::bail;
use secrecy::ExposeSecret as _;

use super::output::{note, print};
use super::usage_error::UsageError;
use crate::auth;
use crate::clock::Clock;
use crate::settings::{Config, weak_jwt_key};

/// The units of a lifetime, in seconds.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];

const MAX_DAYS: u64 = 365;

/// Prints a token of a user. On a terminal, standard error says whom it identifies.
pub(super) fn run(config: &Config, user: &str, lifetime: Duration) -> anyhow::Result<()> {
    let Some(key) = &config.auth.tokens.jwt else {
        bail!(
            "JWT_SECRET is not set, so that a server accepts no JSON Web Token; set it (or \
             JWT_SECRET_FILE) for the server and for this command, for example to what \
             `sessiond token` prints"
        );
    };
    let now = Clock::system().now();
    let issued = auth::issue(key, &config.auth.claims, user, now, lifetime);
    let issued = issued.map_err(|error| UsageError(format!("a token of {user:?} {error}")))?;
    if let Some(warning) = weak_jwt_key(key, "JWT_SECRET") {
        note(&warning);
    }
    print(issued.token.expose_secret())?;
    if io::stderr().is_terminal() {
        note(&format!(
            "a token of the user {}, until {}",
            issued.user, issued.expires_at
        ));
    }
    Ok(())
}

/// Parses a lifetime such as `15m`.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    let parts = UNITS.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(*unit)?;
        Some((number, seconds))
    });
    let (number, seconds) = parts.ok_or_else(expected)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected());
    }
    let max = Duration::from_hours(24 * MAX_DAYS);
    let lifetime = number.parse::<u64>().ok();
    let lifetime = lifetime.and_then(|number| number.checked_mul(*seconds));
    match lifetime.map(Duration::from_secs) {
        Some(Duration::ZERO) => Err("expected at least 1s".to_owned()),
        Some(lifetime) if lifetime <= max => Ok(lifetime),
        _ => Err(format!("expected at most {MAX_DAYS}d")),
    }
}

fn expected() -> String {
    "expected a whole number followed by s, m, h or d, such as 30s, 15m, 1h or 7d".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_number_and_a_unit() {
        for (text, seconds) in [
            ("30s", 30),
            ("15m", 15 * 60),
            ("1h", 60 * 60),
            ("7d", 7 * 24 * 60 * 60),
            ("365d", 365 * 24 * 60 * 60),
            ("01s", 1),
        ] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn another_lifetime_is_refused_with_what_is_allowed() {
        for text in [
            "", "h", "1", "1 h", "-1h", "+1h", "1.5h", "1hh", "1w", "1H", "é",
        ] {
            assert_eq!(lifetime(text), Err(expected()), "{text}");
        }
        assert_eq!(lifetime("0m").unwrap_err(), "expected at least 1s");
        for text in [
            "366d",
            "8761h",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert_eq!(
                lifetime(text).unwrap_err(),
                "expected at most 365d",
                "{text}"
            );
        }
    }
}
