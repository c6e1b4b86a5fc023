//! The measured server's address and token.

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, bail};

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Host and port, as in a request's `Host`.
    pub(crate) host: String,
    /// The resolved address.
    pub(crate) socket: SocketAddr,
}

/// A server and its credentials.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The address.
    pub(crate) address: Address,
    /// The token, if the server requires one.
    pub(crate) token: Option<String>,
}

impl Address {
    /// Parses `http://HOST:PORT`.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("invalid --url {url:?}: it must be http://HOST:PORT");
        };
        let host = rest.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            bail!("{url:?} has a path or no host: it must be http://HOST:PORT");
        }
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let full = if has_port {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut found = full
            .to_socket_addrs()
            .with_context(|| format!("{host} cannot be resolved"))?;
        let socket = found
            .next()
            .with_context(|| format!("{host} has no address"))?;
        Ok(Self {
            host: host.to_owned(),
            socket,
        })
    }

    /// Returns the address of a local server.
    pub(crate) fn of(socket: SocketAddr) -> Self {
        Self {
            host: socket.to_string(),
            socket,
        }
    }
}

impl Target {
    /// Returns the bytes of a request.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&str>) -> Vec<u8> {
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n",
            self.address.host
        );
        if let Some(token) = &self.token {
            text.push_str("X-API-KEY: ");
            text.push_str(token);
            text.push_str("\r\n");
        }
        if let Some(body) = body {
            text.push_str("Content-Type: application/json\r\n");
            text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        } else if method == "GET" {
            text.push_str("\r\n");
        } else {
            text.push_str("Content-Length: 0\r\n\r\n");
        }
        text.into_bytes()
    }
}
