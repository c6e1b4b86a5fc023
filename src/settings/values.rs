//! How the values of settings are read. An error tells what is allowed; the caller knows which
//! setting it is and where it was set.

use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;

use secrecy::SecretString;

use crate::auth::address::TrustedProxies;
use crate::auth::origin::AllowedOrigins;
use crate::telemetry::LogFormat;

/// A whole number within its bounds.
#[derive(Debug, Clone)]
pub(super) struct Number {
    pub(super) value: u32,
    /// What is said of a number that was outside of them.
    pub(super) warning: Option<String>,
}

/// Reads a whole number and clamps it. Where 0 is allowed, `zero` tells what it means, and a negative
/// number does not stand for it: it may be no limit at all, or erase everything.
pub(super) fn number(
    bounds: RangeInclusive<u32>,
    zero: &'static str,
) -> impl Fn(&str) -> Result<Number, String> + Clone {
    let (min, max) = (*bounds.start(), *bounds.end());
    move |text| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_negative = text.starts_with('-');
        if !is_whole || is_negative && min == 0 {
            return Err(format!("expected a whole number from {min} to {max}{zero}"));
        }
        // What is too long for the type is out of any bounds.
        let given = digits.parse().ok().filter(|_| !is_negative);
        let nearest = if is_negative { min } else { max };
        let value = given.unwrap_or(nearest).clamp(min, max);
        Ok(Number {
            value,
            warning: (given != Some(value))
                .then(|| format!("is outside {min} to {max}; using {value}")),
        })
    }
}

/// A host and the addresses that it stands for.
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
        return Err("expected an IP address of this machine, or a host name that stands for one");
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

#[allow(clippy::unnecessary_wraps, reason = "clap asks for a result")]
pub(super) fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

pub(super) fn origins(list: &str) -> Result<AllowedOrigins, String> {
    AllowedOrigins::parse(list).map_err(|part| match part {
        "*" => r#""*" allows every origin, so it stands alone: leave it or the others out"#.into(),
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
