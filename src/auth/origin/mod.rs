//! Which web pages may call, and under which name: a browser lets any page send requests to any
//! server, and says whose page it is in `Origin`.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// Which web pages may call.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Whose pages may call beside the server's own.
    pub allowed: AllowedOrigins,
    /// Where only this machine's own names for the server are answered to, the name that it was
    /// given: a foreign name that stands for this address is a page's trick (DNS rebinding).
    pub only_local_names: Option<String>,
}

/// Whose pages may call beside the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Nobody's.
    #[default]
    None,
    /// Those of this machine, on any port.
    Loopback,
    /// Those of a list.
    List(Vec<Origin>),
    /// Everybody's.
    Any,
}

/// Where a page comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// Why a page may not call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Its `Origin` is neither the server's nor allowed.
    Origin,
    /// It names the server by a name that is not this machine's.
    Host,
    /// It is of another site, and says no allowed origin.
    Site,
}

impl AllowedOrigins {
    /// Reads a comma-separated list, or `*`.
    ///
    /// # Errors
    /// The part that is no origin.
    pub fn parse(list: &str) -> Result<Self, &str> {
        if list.trim() == "*" {
            return Ok(Self::Any);
        }
        let parts = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        parts
            .map(|part| Origin::parse(part.strip_suffix('/').unwrap_or(part)).ok_or(part))
            .collect::<Result<_, _>>()
            .map(Self::List)
    }

    fn contain(&self, origin: Option<&Origin>) -> bool {
        match (self, origin) {
            (Self::Any, _) => true,
            (Self::Loopback, Some(origin)) => is_loopback(&origin.host),
            (Self::List(list), Some(origin)) => list.contains(origin),
            (Self::None, _) | (_, None) => false,
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it));
        let name = Name::parse(authority)?;
        let scheme = scheme.to_ascii_lowercase();
        is_scheme.then(|| Self {
            host: name.host.to_ascii_lowercase(),
            port: name.port.unwrap_or_else(|| usual_port(&scheme)),
            scheme,
        })
    }

    /// Whether a page of this origin calls the server it came from. The scheme does not count:
    /// whoever ends TLS before the server knows it, the server does not.
    fn is_of(&self, name: Name<'_>) -> bool {
        let port = name.port.unwrap_or_else(|| usual_port(&self.scheme));
        self.host.eq_ignore_ascii_case(name.host) && self.port == port
    }
}

/// A host, as a request or an origin names it, and the port if it does.
#[derive(Clone, Copy)]
struct Name<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // A colon within brackets is part of an address.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let is_address = host.starts_with('[') && host.ends_with(']');
        let is_allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_address && byte == b':')
        };
        let inner = bare(host);
        (!inner.is_empty() && inner.bytes().all(is_allowed)).then_some(Self { host, port })
    }
}

/// The port where a scheme's origin names none; 0 where there is no such port.
fn usual_port(scheme: &str) -> u16 {
    match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => 0,
    }
}

impl Origins {
    /// Whether a request may be looked at at all. `is_page` says whether it gets a page that a
    /// link of another site may lead to.
    ///
    /// # Errors
    /// It comes from a foreign page, or under a foreign name.
    pub fn admit(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        is_page: impl FnOnce() -> bool,
    ) -> Result<(), Foreign> {
        let name = name(uri, headers);
        if let Some(given) = &self.only_local_names
            && !name.is_some_and(|name| is_local_name(name.host, given))
        {
            return Err(Foreign::Host);
        }
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let Some(value) = sent.next() else {
            // Images, scripts and forms of pages send no origin, but browsers say whence they are.
            let is_foreign = self.only_local_names.is_some() && is_cross_site(headers);
            if is_foreign && !(is_visit(headers) && is_page()) {
                return Err(Foreign::Site);
            }
            return Ok(());
        };
        let origin = value.to_str().ok().and_then(Origin::parse);
        let is_own = match (&origin, name) {
            (Some(origin), Some(name)) => origin.is_of(name),
            _ => false,
        };
        if sent.next().is_some() || !(is_own || self.allowed.contain(origin.as_ref())) {
            return Err(Foreign::Origin);
        }
        Ok(())
    }
}

/// Whether the page that makes a request is of another site, by its browser's word.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"))
}

/// Whether a browser goes to a page, as by a link.
fn is_visit(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    mode.is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"navigate"))
}

/// The name by which the client calls the server; none where there is not exactly one.
fn name<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Name<'a>> {
    if let Some(authority) = uri.authority() {
        return Name::parse(authority.as_str());
    }
    let mut sent = headers.get_all(header::HOST).iter();
    let host = sent.next()?;
    if sent.next().is_some() {
        return None;
    }
    Name::parse(host.to_str().ok()?)
}

fn is_local_name(host: &str, given: &str) -> bool {
    is_loopback(host) || bare(host).eq_ignore_ascii_case(bare(given))
}

fn is_loopback(host: &str) -> bool {
    // As nearly every request names it.
    if matches!(host, "127.0.0.1" | "localhost") {
        return true;
    }
    let host = bare(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests;
