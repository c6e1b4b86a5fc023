//! How many tokens a model has read and written.
//!
//! Servers put this into the last event of a choice, into an event of its own after it, or into
//! each event, as the numbers so far. So the latest known number counts.

use serde_json::value::RawValue;

use crate::agents::reply_info::Usage;
use crate::json::Members;

/// Larger numbers are not exact in JavaScript.
const MAX_TOKENS: u64 = (1 << 53) - 1;

/// The usual names, and those of gateways to models with another API.
const INPUT: [&str; 2] = ["prompt_tokens", "input_tokens"];
const OUTPUT: [&str; 2] = ["completion_tokens", "output_tokens"];

/// The numbers that are known so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TokenCounts {
    input: Option<u64>,
    output: Option<u64>,
}

impl TokenCounts {
    /// Reads the numbers of an object of the answer and of its choice. Invalid ones count as
    /// missing.
    pub(super) fn read(object: &Members<'_>, choice: Option<&Members<'_>>) -> Self {
        let usage = |object: &Members<'_>| object.get("usage").and_then(Self::of_usage);
        usage(object)
            // Moonshot.
            .or_else(|| choice.and_then(usage))
            .or_else(|| object.get("x_groq").and_then(read).as_ref().and_then(usage))
            .or_else(|| object.get("timings").and_then(Self::of_timings))
            .unwrap_or_default()
    }

    /// Replaces the numbers that `newer` has.
    pub(super) fn update(&mut self, newer: Self) {
        self.input = newer.input.or(self.input);
        self.output = newer.output.or(self.output);
    }

    /// Returns the usage if both numbers are known.
    pub(super) fn usage(self) -> Option<Usage> {
        Some(Usage {
            input_tokens: self.input?,
            output_tokens: self.output?,
        })
    }

    fn of_usage(usage: &RawValue) -> Option<Self> {
        let usage = read(usage)?;
        let first = |names: &[&str]| names.iter().find_map(|name| tokens(&usage, name));
        let (input, output) = (first(&INPUT), first(&OUTPUT));
        let total = tokens(&usage, "total_tokens");
        let rest = |known: Option<u64>| total?.checked_sub(known?);
        Self {
            input: input.or_else(|| rest(output)),
            output: output.or_else(|| rest(input)),
        }
        .if_any()
    }

    /// Reads what llama.cpp sends without being asked. It counts cached tokens apart.
    fn of_timings(timings: &RawValue) -> Option<Self> {
        let timings = read(timings)?;
        let cached = tokens(&timings, "cache_n").unwrap_or_default();
        Self {
            input: tokens(&timings, "prompt_n").map(|read| read + cached),
            output: tokens(&timings, "predicted_n"),
        }
        .if_any()
    }

    fn if_any(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

fn read(value: &RawValue) -> Option<Members<'_>> {
    serde_json::from_str(value.get()).ok()
}

fn tokens(object: &Members<'_>, name: &str) -> Option<u64> {
    let number: u64 = serde_json::from_str(object.get(name)?.get()).ok()?;
    (number <= MAX_TOKENS).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Returns input and output of these objects, one after the other.
    fn counts(objects: &[Value]) -> Option<(u64, u64)> {
        let mut counts = TokenCounts::default();
        for object in objects {
            let text = object.to_string();
            let members: Members<'_> = serde_json::from_str(&text).unwrap();
            counts.update(TokenCounts::read(&members, None));
        }
        let usage = counts.usage()?;
        Some((usage.input_tokens, usage.output_tokens))
    }

    fn of_usage(usage: &Value) -> Option<(u64, u64)> {
        counts(&[json!({ "usage": usage })])
    }

    #[test]
    fn the_latest_number_counts() {
        let so_far =
            |output| json!({ "usage": { "prompt_tokens": 9, "completion_tokens": output }});
        let none = json!({ "usage": null });
        let objects = [so_far(0), so_far(1), none, so_far(2), json!({})];
        assert_eq!(counts(&objects), Some((9, 2)));
        let first = json!({ "usage": { "input_tokens": 9 } });
        let last = json!({ "usage": { "output_tokens": 2 } });
        assert_eq!(counts(std::slice::from_ref(&first)), None);
        assert_eq!(counts(&[first, last]), Some((9, 2)));
    }

    #[test]
    fn a_missing_number_is_the_rest_of_the_total() {
        for usage in [
            json!({ "prompt_tokens": 9, "total_tokens": 11 }),
            json!({ "completion_tokens": 2, "total_tokens": 11 }),
            json!({ "prompt_tokens": 9, "completion_tokens": "2", "total_tokens": 11 }),
        ] {
            assert_eq!(of_usage(&usage), Some((9, 2)), "{usage}");
        }
        let impossible = json!({ "prompt_tokens": 9, "total_tokens": 8 });
        assert_eq!(of_usage(&impossible), None);
    }

    #[test]
    fn usage_takes_precedence_over_what_servers_send_elsewhere() {
        let usage = json!({ "prompt_tokens": 9, "completion_tokens": 2 });
        let timings = json!({ "cache_n": 4, "prompt_n": 6, "predicted_n": 3, "prompt_ms": 1.5 });
        let both = json!({ "usage": usage, "timings": timings });
        assert_eq!(counts(&[both]), Some((9, 2)));
        assert_eq!(counts(&[json!({ "timings": timings })]), Some((10, 3)));
        let groq = json!({ "usage": null, "x_groq": { "id": "x", "usage": usage } });
        assert_eq!(counts(&[groq]), Some((9, 2)));
    }

    #[test]
    fn invalid_numbers_are_ignored() {
        for wrong in [
            json!(-1),
            json!(1.5),
            json!("9"),
            json!(true),
            json!(null),
            json!([9]),
            json!(1_u64 << 53),
            json!(u64::MAX),
        ] {
            let usage = json!({ "prompt_tokens": wrong, "completion_tokens": 2 });
            assert_eq!(of_usage(&usage), None, "{usage}");
            assert_eq!(of_usage(&wrong), None, "{wrong}");
            let timings = json!({ "timings": { "prompt_n": wrong, "predicted_n": wrong } });
            assert_eq!(counts(&[timings]), None, "{wrong}");
        }
        let huge = r#"{"usage":{"prompt_tokens":1e999,"completion_tokens":2},"x_groq":7}"#;
        let members: Members<'_> = serde_json::from_str(huge).unwrap();
        assert_eq!(TokenCounts::read(&members, None).usage(), None);
    }
}
