//! Addresses of clients.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The networks whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses a comma-separated list of networks (`10.0.0.0/8`) and addresses.
    ///
    /// # Errors
    /// The part that is neither.
    pub fn parse(list: &str) -> Result<Self, &str> {
        let parts = list.split(',').map(str::trim).filter(|it| !it.is_empty());
        parts
            .map(|part| network(part).ok_or(part))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns whether an address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the client's address: the peer's or, if that is a trusted proxy, the last one in
    /// `X-Forwarded-For` that is not a trusted proxy. Earlier ones may be forged.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.0.is_empty() || !self.contains(client) {
            return client;
        }
        let values = headers.get_all("x-forwarded-for").iter().rev();
        let hops = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
        for hop in hops {
            let Some(address) = hop_address(hop.trim()) else {
                return client;
            };
            client = address;
            if !self.contains(client) {
                return client;
            }
        }
        client
    }
}

/// Returns the address by which a client is counted: an IPv4 address, also mapped into IPv6, or the
/// /64 network of an IPv6 address, all of which one client can use.
#[must_use]
pub fn client_key(address: IpAddr) -> IpAddr {
    const CLIENT_BITS: u32 = 64;

    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> CLIENT_BITS << CLIENT_BITS;
            IpAddr::V6(network.into())
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
    Some(canonical(network.ok()?))
}

/// Converts an IPv4 network that is mapped into IPv6.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;

    let (IpAddr::V4(address), Some(prefix)) = (
        network.addr().to_canonical(),
        network.prefix_len().checked_sub(MAPPED_BITS),
    ) else {
        return network;
    };
    ipnet::Ipv4Net::new(address, prefix).map_or(network, IpNet::V4)
}

/// Parses an address, which some proxies send with a port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = IpAddr::from_str(bare.unwrap_or(text))
        .or_else(|_| SocketAddr::from_str(text).map(|socket| socket.ip()));
    Some(address.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = TrustedProxies::parse(proxies).unwrap();
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network_of_64_bits() {
        let key = |text: &str| client_key(text.parse().unwrap()).to_string();
        assert_eq!(key("2001:db8:1:2::1"), "2001:db8:1:2::");
        assert_eq!(key("2001:db8:1:2:ffff:ffff:ffff:ffff"), "2001:db8:1:2::");
        assert_eq!(key("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(key("192.0.2.7"), "192.0.2.7");
        assert_eq!(key("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn untrusted_peers_are_not_believed() {
        assert_eq!(client("", "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
        assert_eq!(
            client("192.168.0.0/16", "10.0.0.1", &["1.2.3.4"]),
            "10.0.0.1"
        );
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_proxy() {
        let proxies = "10.0.0.0/8, ::1,fd00::/8";
        assert_eq!(client(proxies, "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        let chain = ["6.6.6.6, 1.2.3.4", "10.9.9.9 , 10.1.1.1"];
        assert_eq!(client(proxies, "10.0.0.1", &chain), "1.2.3.4");
        assert_eq!(client(proxies, "::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(client(proxies, "10.0.0.1", &["10.0.0.7"]), "10.0.0.7");
        assert_eq!(client(proxies, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn an_invalid_address_ends_the_chain() {
        for odd in ["unknown", "", "1.2.3.4, x", "1.2.3", "[::1"] {
            assert_eq!(client("10.0.0.1", "10.0.0.1", &[odd]), "10.0.0.1", "{odd}");
        }
    }

    #[test]
    fn ports_and_mapped_addresses_are_parsed() {
        for (hop, address) in [
            ("1.2.3.4:5678", "1.2.3.4"),
            ("[2001:db8::7]:80", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(client("10.0.0.1", "::ffff:10.0.0.1", &[hop]), address);
        }
        assert_eq!(
            client("::ffff:10.0.0.0/104", "10.0.0.1", &["1.2.3.4"]),
            "1.2.3.4"
        );
    }

    #[test]
    fn an_invalid_network_is_named() {
        assert_eq!(TrustedProxies::parse("10.0.0.0/8, ten"), Err("ten"));
        assert_eq!(TrustedProxies::parse("10.0.0.0/33"), Err("10.0.0.0/33"));
        assert_eq!(TrustedProxies::parse(" , "), Ok(TrustedProxies::default()));
    }
}
