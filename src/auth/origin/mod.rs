//! Which web pages may call. A browser lets any page send requests to any server, and reports the
//! page's origin.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// The rules for requests of web pages.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// The allowed origins besides the server's own.
    pub allowed: AllowedOrigins,
    /// If set, `Host` must be a loopback name or this name. Other names are an attack (DNS
    /// rebinding).
    pub only_local_names: Option<String>,
}

/// The allowed origins besides the server's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// None.
    #[default]
    None,
    /// Loopback origins, with any port.
    Loopback,
    /// Those of a list.
    List(Vec<Origin>),
    /// All.
    Any,
}

/// The origin of a web page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// Why the request of a web page is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignPage {
    /// `Origin` is neither the server's own nor allowed.
    Origin,
    /// `Host` is not a local name.
    Host,
    /// It is a cross-site request without an allowed `Origin`.
    CrossSite,
}

impl AllowedOrigins {
    /// Parses a comma-separated list, or `*`.
    ///
    /// # Errors
    /// The part that is not an origin.
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
        let authority = Authority::parse(authority)?;
        let scheme = scheme.to_ascii_lowercase();
        is_scheme.then(|| Self {
            host: authority.host.to_ascii_lowercase(),
            port: authority.port.unwrap_or_else(|| default_port(&scheme)),
            scheme,
        })
    }

    /// Returns whether a server with this authority has this origin. The scheme is not compared,
    /// since a proxy may terminate TLS.
    fn is_of(&self, server: Authority<'_>) -> bool {
        let port = server.port.unwrap_or_else(|| default_port(&self.scheme));
        self.host.eq_ignore_ascii_case(server.host) && self.port == port
    }
}

#[derive(Clone, Copy)]
struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // A colon within brackets belongs to an address.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let is_address = host.starts_with('[') && host.ends_with(']');
        let is_allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_address && byte == b':')
        };
        let inner = without_brackets(host);
        (!inner.is_empty() && inner.bytes().all(is_allowed)).then_some(Self { host, port })
    }

    /// Returns the server's authority as the client sent it, if there is exactly one.
    fn of_request(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Self> {
        if let Some(authority) = uri.authority() {
            return Self::parse(authority.as_str());
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let only = hosts.next().xor(hosts.next());
        Self::parse(only?.to_str().ok()?)
    }
}

/// Returns the default port of a scheme, or 0 if it is unknown.
fn default_port(scheme: &str) -> u16 {
    match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => 0,
    }
}

impl Origins {
    /// Checks a request by its head. `is_page` returns whether it is for a page that links of other
    /// sites may lead to.
    ///
    /// # Errors
    /// The request is of a foreign page, or has a foreign `Host`.
    pub fn admit(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        is_page: impl FnOnce() -> bool,
    ) -> Result<(), ForeignPage> {
        self.admit_host(uri, headers)?;
        let server = Authority::of_request(uri, headers);
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let Some(value) = sent.next() else {
            // Images, scripts and forms send no origin, but browsers report cross-site requests.
            let is_foreign = self.only_local_names.is_some()
                && has_value(headers, "sec-fetch-site", "cross-site");
            let is_navigation = has_value(headers, "sec-fetch-mode", "navigate");
            if is_foreign && !(is_navigation && is_page()) {
                return Err(ForeignPage::CrossSite);
            }
            return Ok(());
        };
        let origin = value.to_str().ok().and_then(Origin::parse);
        let is_own = match (&origin, server) {
            (Some(origin), Some(server)) => origin.is_of(server),
            _ => false,
        };
        if sent.next().is_some() || !(is_own || self.allowed.contain(origin.as_ref())) {
            return Err(ForeignPage::Origin);
        }
        Ok(())
    }

    /// Checks only the `Host` of a request, for what pages of any origin may load.
    ///
    /// # Errors
    /// It is not a local name, where only those are accepted.
    pub fn admit_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignPage> {
        let Some(name) = &self.only_local_names else {
            return Ok(());
        };
        match Authority::of_request(uri, headers) {
            Some(server) if is_local_name(server.host, name) => Ok(()),
            _ => Err(ForeignPage::Host),
        }
    }
}

fn has_value(headers: &HeaderMap, name: &str, value: &str) -> bool {
    let sent = headers.get(name).map(HeaderValue::as_bytes);
    sent.is_some_and(|sent| sent.eq_ignore_ascii_case(value.as_bytes()))
}

fn is_local_name(host: &str, name: &str) -> bool {
    is_loopback(host) || without_brackets(host).eq_ignore_ascii_case(without_brackets(name))
}

fn is_loopback(host: &str) -> bool {
    // The most common names are compared without parsing.
    if matches!(host, "127.0.0.1" | "localhost") {
        return true;
    }
    let host = without_brackets(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests;
