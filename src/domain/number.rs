//! Parses numbers as JavaScript does.
//!
//! The clients of this API are written in JavaScript, and `ElizaOS` reads its settings with
//! `Number()`. The grammar is ECMA-262's `StringToNumber`.

/// Returns `Number(text)` of JavaScript; `NaN` if the text is not a number.
#[must_use]
pub fn from_text(text: &str) -> f64 {
    let text = text.trim_matches(is_js_whitespace);
    if text.is_empty() {
        return 0.0;
    }
    let (digits, radix) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0o" | "0O") => (&text[2..], 8),
        Some("0b" | "0B") => (&text[2..], 2),
        _ => return decimal(text),
    };
    if digits.is_empty() {
        return f64::NAN;
    }
    digits
        .chars()
        .try_fold(0.0, |value, digit| {
            digit
                .to_digit(radix)
                .map(|digit| value * f64::from(radix) + f64::from(digit))
        })
        .unwrap_or(f64::NAN)
}

/// Returns whether a string is blank to JavaScript. The API treats a blank value as absent.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.trim_matches(is_js_whitespace).is_empty()
}

fn decimal(text: &str) -> f64 {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "Infinity" {
        return if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
    }
    // Rust also accepts "inf" and "nan"; JavaScript only digits, a point and an exponent.
    let is_numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !unsigned.chars().all(is_numeric) {
        return f64::NAN;
    }
    text.parse().unwrap_or(f64::NAN)
}

/// Returns whether a character is a `WhiteSpace` or `LineTerminator` of ECMA-262.
fn is_js_whitespace(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == '\u{FEFF}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_parsed_as_javascript_parses_it() {
        let table: [(&str, f64); 25] = [
            ("", 0.0),
            ("  ", 0.0),
            ("\u{FEFF}\n", 0.0),
            (" 42\t", 42.0),
            ("0x10", 16.0),
            ("0o17", 15.0),
            ("0b101", 5.0),
            ("010", 10.0),
            ("1e2", 100.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("+3", 3.0),
            ("-0", -0.0),
            ("12.9", 12.9),
            ("10e308", f64::INFINITY),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1,000", f64::NAN),
            ("12.34.56", f64::NAN),
            ("abc", f64::NAN),
            ("NaN", f64::NAN),
            ("inf", f64::NAN),
            ("-0x10", f64::NAN),
            ("0x", f64::NAN),
            ("1_000", f64::NAN),
        ];
        for (text, expected) in table {
            let read = from_text(text);
            assert!(
                read.to_bits() == expected.to_bits() || (read.is_nan() && expected.is_nan()),
                "{text:?} was parsed as {read}, not as {expected}"
            );
        }
        assert!(from_text("-0").is_sign_negative());
    }
}
