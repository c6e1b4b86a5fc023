//! The levels of the log. What of them cannot be read, the log itself would pass over, and be
//! silent.

use tracing_subscriber::filter::{Directive, LevelFilter};

use super::ConfigError;
use super::source::Source;

/// The variable, which is known to many programs and so is no setting of this one alone.
const NAME: &str = "RUST_LOG";

const ALLOWED: &str = "a level (off, error, warn, info, debug or trace), or parts of the program \
                       with one, such as sessiond=debug, with commas and no blanks between them";

/// How many characters of a level may be wrong for it to be known again.
const MAX_DISTANCE: usize = 2;

/// The levels, if they are set and can be read.
pub(super) fn read(source: &Source) -> Result<Option<String>, ConfigError> {
    let Some(levels) = source.text(NAME) else {
        return Ok(None);
    };
    match fault(levels) {
        None => Ok(Some(levels.to_owned())),
        Some(part) => Err(ConfigError::unreadable(NAME, part, ALLOWED)),
    }
}

/// The part that cannot be read.
fn fault(levels: &str) -> Option<&str> {
    let mut parts = levels.split(',').filter(|it| !it.is_empty());
    // A word alone that is no level stands for a part of the program, and for all that it says.
    let says_of_us = |part: &str| is_level(part) || part.contains(['=', '[']) || is_ours(part);
    let is_silent = !parts.clone().any(says_of_us);
    parts.find(|part| {
        let is_readable = part.parse::<Directive>().is_ok();
        !is_readable || !says_of_us(part) && (is_silent || is_nearly_a_level(part))
    })
}

fn is_level(word: &str) -> bool {
    word.parse::<LevelFilter>().is_ok()
}

fn is_ours(part: &str) -> bool {
    part.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

fn is_nearly_a_level(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    levels
        .iter()
        .any(|level| strsim::levenshtein(level, &word) <= MAX_DISTANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_can_be_read_are_let_through() {
        for levels in [
            "info",
            "WARN",
            "off",
            "3",
            "sessiond=debug",
            "sessiond::api=trace,warn",
            "sessiond",
            "info,hyper",
            "my_app=debug,info",
            "sessiond[{a}]=info",
            "",
        ] {
            assert_eq!(fault(levels), None, "{levels}");
        }
    }

    #[test]
    fn a_level_that_cannot_be_read_is_told() {
        for (levels, part) in [
            ("debgu", "debgu"),
            ("verbose", "verbose"),
            ("warning", "warning"),
            ("sessiond=debgu", "sessiond=debgu"),
            ("info,sessiond::api=loud", "sessiond::api=loud"),
            ("sessiond=info,debgu", "debgu"),
            ("info, sessiond::store=debug", " sessiond::store=debug"),
            ("my_app", "my_app"),
        ] {
            assert_eq!(fault(levels), Some(part), "{levels}");
        }
    }
}
