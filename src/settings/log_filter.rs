//! The levels of the log. The log itself would skip what cannot be read, and be silent.

use tracing_subscriber::filter::{Directive, LevelFilter};

use super::ConfigError;
use super::layers::Layers;

/// The variable, which is known to many programs and so is no setting of this one alone.
const NAME: &str = "RUST_LOG";

const ALLOWED: &str = "expected a level (off, error, warn, info, debug or trace), or parts of the \
                       program with one, such as sessiond=debug, with commas and no blanks between \
                       them";

/// How many characters of a level may be wrong.
const MAX_DISTANCE: usize = 2;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The levels, if they are set and can be read.
pub(super) fn read(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let Some(levels) = layers.get(NAME) else {
        return Ok(None);
    };
    let levels = levels.trim();
    let Some(part) = fault(levels) else {
        return Ok(Some(levels.to_owned()));
    };
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    let question = meant_by(level)
        .filter(|meant| !level.eq_ignore_ascii_case(meant))
        .map(|meant| format!("; did you mean {meant:?}?"));
    let which = (part != levels).then(|| format!("{part:?} cannot be read; "));
    let (which, question) = (which.unwrap_or_default(), question.unwrap_or_default());
    Err(layers.invalid(NAME, &format!("{which}{ALLOWED}{question}")))
}

/// The part that cannot be read.
fn fault(levels: &str) -> Option<&str> {
    let mut parts = levels.split(',').filter(|it| !it.is_empty());
    // A word alone that is no level stands for a part of the program, and for all that it says.
    let says_of_us = |part: &str| is_level(part) || part.contains(['=', '[']) || is_ours(part);
    let is_silent = !parts.clone().any(says_of_us);
    parts.find(|part| {
        let is_readable = part.parse::<Directive>().is_ok();
        !is_readable || !says_of_us(part) && (is_silent || meant_by(part).is_some())
    })
}

fn is_level(word: &str) -> bool {
    word.parse::<LevelFilter>().is_ok()
}

fn is_ours(part: &str) -> bool {
    part.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

/// The level that a word was meant to be, if it is nearly one.
fn meant_by(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let distances = LEVELS.map(|level| (strsim::osa_distance(level, &word), level));
    let near = distances.into_iter().filter(|it| it.0 <= MAX_DISTANCE);
    near.min().map(|(_, meant)| meant)
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

    #[test]
    fn a_level_that_is_right_is_not_asked_for() {
        let said = |levels| {
            let layers = Layers::from_variables([(NAME, levels)]);
            read(&layers).unwrap_err().to_string()
        };
        assert!(said("info,sessiond=debgu").contains("did you mean \"debug\"?"));
        assert!(!said("info, sessiond=debug").contains("did you mean"));
    }
}
