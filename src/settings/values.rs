//! The parsers of the settings' values. An error says what is expected; the caller adds the setting
//! and where it was set.

use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;

use secrecy::SecretString;

use crate::auth::address::TrustedProxies;
use crate::auth::claims::SubjectRule;
use crate::auth::origin::AllowedOrigins;
use crate::telemetry::LogFormat;

/// A whole number within its bounds.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) value: u32,
    /// The warning about a number that was clamped.
    pub(super) warning: Option<String>,
}

/// Parses a whole number and clamps it. If the bounds include 0, a negative number is refused
/// instead, since 0 has a meaning of its own, given as `zero`: no limit, or deletion.
pub(super) fn number(
    bounds: RangeInclusive<u32>,
    zero: &'static str,
) -> impl Fn(&str) -> Result<Number, String> + Clone {
    let (min, max) = bounds.into_inner();
    move |text| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_negative = text.starts_with('-');
        if !is_whole || is_negative && min == 0 {
            return Err(format!("expected a whole number from {min} to {max}{zero}"));
        }
        // Digits that overflow the type are out of any bounds.
        let given = digits.parse().ok().filter(|_| !is_negative);
        let nearest = if is_negative { min } else { max };
        let value = given.unwrap_or(nearest).clamp(min, max);
        let warning = || format!("is outside {min} to {max}; using {value}");
        Ok(Number {
            value,
            warning: (given != Some(value)).then(warning),
        })
    }
}

/// A host and its addresses.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) name: String,
    /// Without the port.
    pub(super) addresses: Vec<SocketAddr>,
}

pub(super) fn host(name: &str) -> Result<Host, &'static str> {
    let bare = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let found = (bare.unwrap_or(name), 0).to_socket_addrs();
    let addresses: Vec<_> = found.into_iter().flatten().collect();
    if addresses.is_empty() {
        return Err("expected an IP address or a host name of this machine");
    }
    let name = name.to_owned();
    Ok(Host { name, addresses })
}

pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    let port = text.parse();
    port.map_err(|_| "expected a port from 0 to 65535 (0 for a free one)")
}

pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true, false, 1 or 0"),
    }
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(r#"expected "text" or "json""#),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "clap requires a result")]
pub(super) fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

/// Comma-separated names, at least one.
#[derive(Debug, Clone)]
pub(super) struct Names(pub(super) Vec<String>);

pub(super) fn names(list: &str) -> Result<Names, &'static str> {
    let parts = list.split(',').map(str::trim).filter(|it| !it.is_empty());
    let names: Vec<_> = parts.map(str::to_owned).collect();
    if names.is_empty() {
        return Err("expected a comma-separated list of at least one name");
    }
    Ok(Names(names))
}

pub(super) fn subject(text: &str) -> Result<SubjectRule, &'static str> {
    match text {
        "auto" => Ok(SubjectRule::Auto),
        "uuid" => Ok(SubjectRule::Uuid),
        "derive" => Ok(SubjectRule::Derive),
        _ => Err(r#"expected "auto", "uuid" or "derive""#),
    }
}

pub(super) fn origins(list: &str) -> Result<AllowedOrigins, String> {
    AllowedOrigins::parse(list).map_err(|part| match part {
        "*" => r#""*" allows every origin: remove it or the others"#.into(),
        _ => format!(
            "{part:?} is not an origin; expected a comma-separated list of origins such as \
             https://chat.example, or \"*\""
        ),
    })
}

pub(super) fn proxies(list: &str) -> Result<TrustedProxies, String> {
    TrustedProxies::parse(list).map_err(|part| {
        format!(
            "{part:?} is not a network; expected a comma-separated list of networks such as \
             10.0.0.0/8, or of addresses"
        )
    })
}
