//! The trace of a request (W3C Trace Context): which calls of several programs belong together.

use std::fmt;

/// A `traceparent` of version 00: a trace, the caller's span in it, and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceParent {
    /// Parses the value of the header. Of a later version, the parts that version 00 has are taken.
    /// `None` if it is not valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version: u8 = number(parts.next()?, 2)?;
        let trace = number(parts.next()?, 32)?;
        let span = number(parts.next()?, 16)?;
        let flags = number(parts.next()?, 2)?;
        let has_more = parts.next().is_some();
        let is_version_valid = version != 0xff && (version > 0 || !has_more);
        let is_valid = is_version_valid && trace != 0 && span != 0;
        is_valid.then_some(Self { trace, span, flags })
    }

    /// Returns the id of the trace, as logs show it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// Parses a number of exactly so many lower-case hexadecimal digits.
fn number<T: TryFrom<u128>>(text: &str, digits: usize) -> Option<T> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hex = text.len() == digits && text.bytes().all(is_digit);
    let value = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    T::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b7902c1-01";

    #[test]
    fn a_valid_value_is_passed_on_unchanged() {
        let parsed = TraceParent::parse(VALID).unwrap();
        assert_eq!(parsed.to_string(), VALID);
        assert_eq!(parsed.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn later_versions_may_have_more_parts() {
        let later = format!("{}-more", VALID.replacen("00", "cc", 1));
        assert_eq!(TraceParent::parse(&later).unwrap().to_string(), VALID);
    }

    #[test]
    fn invalid_values_are_none() {
        for (part, by) in [
            ("00-4", "ff-4"),
            ("00-4", "0-4"),
            ("00-4", "00-+"),
            ("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            ("4bf9", "4BF9"),
            ("4bf9", "4bf"),
            ("00f067aa0b7902c1", &"0".repeat(16)),
            ("-01", ""),
            ("-01", "-1"),
            ("-01", "-01-more"),
        ] {
            let changed = VALID.replacen(part, by, 1);
            assert_eq!(TraceParent::parse(&changed), None, "{changed}");
        }
        assert_eq!(TraceParent::parse(""), None);
    }
}
