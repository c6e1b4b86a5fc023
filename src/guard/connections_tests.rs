//! Tests of the counting of connections.

use std::sync::atomic::AtomicBool;
use std::task::Wake;

use super::*;

impl Connection {
    fn is_closed(&self) -> bool {
        self.order() == Order::Close
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

#[test]
fn at_the_limit_the_longest_idle_connection_gives_way() {
    let connections = Arc::new(Connections::new(2, TrustedProxies::default()));
    let first = connections.admit(address(1)).unwrap();
    let second = connections.admit(address(2)).unwrap();
    let request = first.connection.begin();
    let third = connections.admit(address(3)).unwrap();
    assert!(!first.connection.is_closed(), "it has a request under way");
    assert!(second.connection.is_closed());
    let _third = third.connection.begin();
    assert!(connections.admit(address(4)).is_err(), "all are busy");
    drop(request);
    assert!(connections.admit(address(4)).is_ok());
    assert!(first.connection.is_closed());
}

#[tokio::test]
async fn a_crowd_is_admitted_no_faster_than_those_that_give_way_end() {
    let connections = Arc::new(Connections::new(2, TrustedProxies::default()));
    let admit = || connections.admit(IpAddr::from([127, 0, 0, 1])).unwrap();
    let mut open: Vec<_> = (0..=2 + MAX_LEAVING).map(|_| admit()).collect();
    let waiting = Arc::clone(&connections);
    let waiting = tokio::spawn(async move { waiting.settled().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    open.pop();
    waiting.await.unwrap();
    connections.settled().await;
}

#[test]
fn an_address_has_a_quarter_of_the_connections_at_most_but_for_loopback() {
    let connections = Arc::new(Connections::new(
        8,
        TrustedProxies::parse("10.0.0.9").unwrap(),
    ));
    let open: Vec<_> = (0..3)
        .map(|_| connections.admit(address(1)).unwrap())
        .collect();
    assert!(
        open[0].connection.is_closed(),
        "its own longest idle one gives way"
    );
    assert!(!open[1].connection.is_closed());
    let local: Vec<_> = (0..6)
        .map(|_| connections.admit(IpAddr::from([127, 0, 0, 1])).unwrap())
        .collect();
    assert!(local.iter().all(|it| !it.connection.is_closed()));
    let proxied: Vec<_> = (0..4)
        .map(|_| connections.admit(address(9)).unwrap())
        .collect();
    assert!(proxied.iter().all(|it| !it.connection.is_closed()));
    drop((open, local, proxied));
    assert!(connections.lock().per_client.is_empty());
}

#[test]
fn a_connection_is_woken_by_what_it_is_told_and_does_not_go_back_on_it() {
    let connections = Arc::new(Connections::new(1, TrustedProxies::default()));
    let open = connections.admit(address(1)).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Arc::clone(&woken).into();
    let cx = Context::from_waker(&waker);
    assert_eq!(open.connection.told(&cx), Order::Serve);
    for (order, told) in [
        (Order::Drain, Order::Drain),
        (Order::Close, Order::Close),
        (Order::Drain, Order::Close),
    ] {
        connections.tell(order);
        assert!(woken.0.swap(false, Ordering::Relaxed), "{order:?}");
        assert_eq!(open.connection.told(&cx), told);
    }
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_client_and_a_mapped_address_is_ipv4() {
    let connections = Arc::new(Connections::new(8, TrustedProxies::default()));
    let host = |last: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 3, 4, 5, last]);
    let network: Vec<_> = (0..3)
        .map(|last| connections.admit(host(last)).unwrap())
        .collect();
    assert!(network[0].connection.is_closed());
    assert!(!network[1].connection.is_closed());
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    let same = [address(1), mapped, address(1)].map(|it| connections.admit(it).unwrap());
    assert!(same[0].connection.is_closed());
    assert_eq!(same[1].connection.address(), address(1));
}

#[test]
fn handshakes_are_a_quarter_at_most_and_the_oldest_gives_way() {
    let connections = Arc::new(Connections::new(8, TrustedProxies::default()));
    let client = connections.admit(address(1)).unwrap();
    let _request = client.connection.begin();
    let polling: Vec<_> = (2..5)
        .map(|last| connections.admit_handshake(address(last)).unwrap())
        .collect();
    let closed = |admissions: &[Admission]| {
        let closed = admissions.iter().map(|it| it.connection.is_closed());
        closed.collect::<Vec<_>>()
    };
    assert_eq!(closed(&polling), [true, false, false]);
    // One that is accepted is none any more.
    connections.accept(&polling[1].connection);
    let more = [5, 6].map(|last| connections.admit_handshake(address(last)).unwrap());
    assert_eq!(closed(&polling), [true, false, true]);
    assert_eq!(closed(&more), [false, false]);
    // An upgrade is one from then on.
    connections
        .upgrade(&client.connection, address(1), true)
        .unwrap();
    assert_eq!(closed(&more), [true, false]);
    drop((polling, more, client));
    let open = connections.lock();
    assert!(open.handshakes.is_empty() && open.slots.is_empty() && open.per_client.is_empty());
}

#[test]
fn sessions_are_counted_with_the_connections_in_all_and_per_address() {
    let connections = Arc::new(Connections::new(8, TrustedProxies::default()));
    let busy: Vec<_> = (0..6)
        .map(|last| connections.admit(address(last)).unwrap())
        .collect();
    let _requests: Vec<_> = busy.iter().map(|it| it.connection.begin()).collect();
    let session = connections.admit_handshake(address(7)).unwrap();
    connections.accept(&session.connection);
    let _second = connections.admit_handshake(address(7)).unwrap();
    let _third = connections.admit_handshake(address(7)).unwrap();
    assert!(session.connection.is_closed(), "its client has a quarter");

    let connections = Arc::new(Connections::new(1, TrustedProxies::default()));
    let client = connections.admit(address(1)).unwrap();
    let _request = client.connection.begin();
    let refused = connections.admit_handshake(address(2));
    assert_eq!(refused.unwrap_err(), Crowded);
}

#[test]
fn an_upgraded_connection_counts_for_the_client_behind_the_proxy() {
    let proxies = TrustedProxies::parse("10.0.0.9").unwrap();
    let connections = Arc::new(Connections::new(8, proxies));
    let upgraded: Vec<_> = (0..3)
        .map(|_| {
            let admission = connections.admit(address(9)).unwrap();
            let request = admission.connection.begin();
            connections
                .upgrade(&admission.connection, address(1), false)
                .unwrap();
            drop(request);
            admission
        })
        .collect();
    assert!(upgraded[0].connection.is_closed());
    assert!(!upgraded[1].connection.is_closed());
    drop(upgraded);
    assert!(connections.lock().per_client.is_empty());
}
