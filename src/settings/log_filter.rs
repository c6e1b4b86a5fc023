//! The log filter. The subscriber would skip invalid directives and log nothing.

use tracing_subscriber::filter::{Directive, LevelFilter};

use super::error::ConfigError;
use super::layers::Layers;

/// The variable of the filter. Many programs know it, so it is not one of the settings.
pub(super) const RUST_LOG: &str = "RUST_LOG";

const EXPECTED: &str = "expected a level (off, error, warn, info, debug or trace), or modules with \
                        a level each, such as sessiond=debug, separated by commas without blanks";

/// The largest edit distance between a misspelt level and a level.
const MAX_DISTANCE: usize = 2;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Returns the filter, if it is set, or an error if a directive of it is invalid.
pub(super) fn read(layers: &Layers) -> Result<Option<String>, ConfigError> {
    let filter = layers.get(RUST_LOG).map(str::trim);
    let Some((filter, part)) = filter.and_then(|filter| Some((filter, fault(filter)?))) else {
        return Ok(filter.map(str::to_owned));
    };
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    let meant = meant_by(level).filter(|meant| !level.eq_ignore_ascii_case(meant));
    let question = meant.map_or(String::new(), |meant| format!("; did you mean {meant:?}?"));
    let which = if part == filter {
        String::new()
    } else {
        format!("{part:?} is invalid; ")
    };
    Err(layers.invalid(RUST_LOG, &format!("{which}{EXPECTED}{question}")))
}

/// Returns the first invalid directive.
fn fault(filter: &str) -> Option<&str> {
    let mut parts = filter.split(',').filter(|it| !it.is_empty());
    // A bare word that is not a level is a module, logged at all levels.
    let is_explicit = |part: &str| is_level(part) || part.contains(['=', '[']) || is_own(part);
    let is_silent = !parts.clone().any(is_explicit);
    parts.find(|part| {
        let is_valid = part.parse::<Directive>().is_ok();
        !is_valid || !is_explicit(part) && (is_silent || meant_by(part).is_some())
    })
}

fn is_level(word: &str) -> bool {
    word.parse::<LevelFilter>().is_ok()
}

fn is_own(part: &str) -> bool {
    part.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

/// Returns the level that a misspelt word was meant to be.
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
    fn valid_filters_are_accepted() {
        for filter in [
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
            assert_eq!(fault(filter), None, "{filter}");
        }
    }

    #[test]
    fn the_invalid_part_of_a_filter_is_found() {
        for (filter, part) in [
            ("debgu", "debgu"),
            ("verbose", "verbose"),
            ("warning", "warning"),
            ("sessiond=debgu", "sessiond=debgu"),
            ("info,sessiond::api=loud", "sessiond::api=loud"),
            ("sessiond=info,debgu", "debgu"),
            ("info, sessiond::store=debug", " sessiond::store=debug"),
            ("my_app", "my_app"),
        ] {
            assert_eq!(fault(filter), Some(part), "{filter}");
        }
    }

    #[test]
    fn a_valid_level_is_not_suggested() {
        let said = |filter| {
            let layers = Layers::from_variables([(RUST_LOG, filter)]);
            read(&layers).unwrap_err().to_string()
        };
        assert!(said("info,sessiond=debgu").contains("did you mean \"debug\"?"));
        assert!(!said("info, sessiond=debug").contains("did you mean"));
    }
}
