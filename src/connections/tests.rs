//! Tests of the connection limits and of eviction.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn connections(max: usize) -> Arc<Connections> {
    Arc::new(Connections::new(max, TrustedProxies::default()))
}

fn behind_proxy(max: usize) -> Arc<Connections> {
    let proxies = TrustedProxies::parse("10.0.0.9").unwrap();
    Arc::new(Connections::new(max, proxies))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// Admits a connection without waiting.
fn try_admit(
    connections: &Arc<Connections>,
    address: IpAddr,
) -> Result<ConnectionGuard, TooManyConnections> {
    let admitted = connections.admit(address).now_or_never();
    admitted.expect("a permit is available")
}

fn admit(connections: &Arc<Connections>, address: IpAddr) -> ConnectionGuard {
    try_admit(connections, address).unwrap()
}

fn try_handshake(
    connections: &Arc<Connections>,
    address: IpAddr,
) -> Result<ConnectionGuard, TooManyConnections> {
    let admitted = connections.admit_handshake(address).now_or_never();
    admitted.expect("a permit is available")
}

fn handshake(connections: &Arc<Connections>, address: IpAddr) -> ConnectionGuard {
    try_handshake(connections, address).unwrap()
}

fn is_closed(guard: &ConnectionGuard) -> bool {
    guard.connection.closed().now_or_never().is_some()
}

fn are_closed<const N: usize>(guards: &[ConnectionGuard; N]) -> [bool; N] {
    guards.each_ref().map(is_closed)
}

#[test]
fn at_the_limit_the_longest_idle_connection_is_evicted() {
    let connections = connections(2);
    let first = admit(&connections, address(1));
    let second = admit(&connections, address(2));
    let request = first.connection.mark_busy();
    let third = admit(&connections, address(3));
    assert!(!is_closed(&first), "it has a request in flight");
    assert!(is_closed(&second));
    let _third = third.connection.mark_busy();
    assert!(try_admit(&connections, address(4)).is_err(), "all are busy");
    drop(request);
    assert!(try_admit(&connections, address(4)).is_ok());
    assert!(is_closed(&first));
}

#[tokio::test(start_paused = true)]
async fn admission_waits_for_evicted_connections_to_end() {
    let connections = connections(2);
    let mut open: Vec<_> = (0..2 + MAX_EVICTED)
        .map(|_| admit(&connections, LOOPBACK))
        .collect();
    let mut waiting = Box::pin(connections.admit(LOOPBACK));
    let admitted = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
    assert!(admitted.is_err(), "it waits");
    open.remove(0);
    waiting.await.unwrap();
}

#[test]
fn a_client_has_at_most_a_quarter_except_loopback_and_proxies() {
    let connections = behind_proxy(8);
    let open = [(); 3].map(|()| admit(&connections, address(1)));
    assert_eq!(
        are_closed(&open),
        [true, false, false],
        "its own longest idle connection is evicted"
    );
    let local = [(); 6].map(|()| admit(&connections, LOOPBACK));
    assert_eq!(are_closed(&local), [false; 6]);
    let proxied = [(); 4].map(|()| admit(&connections, address(9)));
    assert_eq!(are_closed(&proxied), [false; 4]);
    drop((open, local, proxied));
    assert!(connections.lock().is_empty());
}

#[tokio::test]
async fn draining_does_not_close_and_closing_reaches_every_connection() {
    let connections = connections(8);
    let open = [1, 2].map(|last| admit(&connections, address(last)));
    let connection = &open[0].connection;
    assert!(connection.draining().now_or_never().is_none());
    connections.drain();
    connection.draining().await;
    assert_eq!(are_closed(&open), [false, false]);
    assert!(connection.closed().now_or_never().is_none());
    connection.close();
    connection.closed().await;
    assert_eq!(are_closed(&open), [true, false]);
    connections.close();
    open[1].connection.closed_owned().await;
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_client_and_a_mapped_address_is_ipv4() {
    let connections = connections(8);
    let host = |last: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, last]);
    let network = [0, 1, 2].map(|last| admit(&connections, host(last)));
    assert_eq!(are_closed(&network), [true, false, false]);
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    let same = [address(1), mapped, address(1)].map(|it| admit(&connections, it));
    assert_eq!(are_closed(&same), [true, false, false]);
    assert_eq!(same[1].connection.address(), Some(address(1)));
}

#[test]
fn handshakes_are_at_most_a_quarter_and_the_oldest_is_evicted() {
    let connections = connections(8);
    let client = admit(&connections, address(1));
    let _request = client.connection.mark_busy();
    let polling = [2, 3, 4].map(|last| handshake(&connections, address(last)));
    assert_eq!(are_closed(&polling), [true, false, false]);
    // An accepted session is not a handshake.
    connections.accept(&polling[1].connection);
    let more = [5, 6].map(|last| handshake(&connections, address(last)));
    assert_eq!(are_closed(&polling), [true, false, true]);
    assert_eq!(are_closed(&more), [false, false]);
    // An upgraded connection is a handshake.
    connections
        .upgrade(&client.connection, address(1), true)
        .unwrap();
    assert_eq!(are_closed(&more), [true, false]);
    drop((polling, more, client));
    assert!(connections.lock().is_empty());
}

#[test]
fn polling_sessions_count_as_connections() {
    let connections = self::connections(8);
    let busy = [0, 1, 2, 3, 4, 5].map(|last| admit(&connections, address(last)));
    let _requests = busy.each_ref().map(|guard| guard.connection.mark_busy());
    let session = handshake(&connections, address(7));
    connections.accept(&session.connection);
    let _second = handshake(&connections, address(7));
    let _third = handshake(&connections, address(7));
    assert!(is_closed(&session), "its client has a quarter");

    let connections = self::connections(1);
    let client = admit(&connections, address(1));
    let _request = client.connection.mark_busy();
    let refused = try_handshake(&connections, address(2));
    assert_eq!(refused.unwrap_err(), TooManyConnections);
}

#[test]
fn an_upgraded_connection_counts_against_the_client_behind_the_proxy() {
    let connections = behind_proxy(8);
    let upgraded = [(); 3].map(|()| {
        let guard = admit(&connections, address(9));
        let request = guard.connection.mark_busy();
        connections
            .upgrade(&guard.connection, address(1), false)
            .unwrap();
        drop(request);
        guard
    });
    assert_eq!(are_closed(&upgraded), [true, false, false]);
    drop(upgraded);
    assert!(connections.lock().is_empty());
}
