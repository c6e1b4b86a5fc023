//! The limits of connections and open files.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::server::Server;

/// The default of `MAX_CONNECTIONS`.
const MAX_CONNECTIONS: usize = 10_000;

/// The open files that this process and the server need in addition to the connections.
const SPARE_FILES: u64 = 200;

#[test]
fn ten_thousand_idle_connections_do_not_lock_out_a_new_client() {
    let wanted = MAX_CONNECTIONS as u64 + SPARE_FILES;
    let files = raise_open_files(wanted);
    // If the system allows fewer open files, the limit of the server is lower too.
    let connections = usize::try_from(files.min(wanted) - SPARE_FILES).unwrap();
    let mut server = Server::builder()
        .env("MAX_CONNECTIONS", connections.to_string())
        .start();
    let address = server.url().trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..connections)
        .map(|_| TcpStream::connect(&address).expect("the system accepts"))
        .collect();
    for _ in 0..20 {
        ask(&address);
    }
    drop(idle);
    assert!(server.terminate().success());
}

/// Raises the limit of open files, as far as the system permits. Returns the new limit.
fn raise_open_files(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    if limit.current.is_none_or(|current| current >= raised) {
        return limit.current.unwrap_or(u64::MAX);
    }
    let current = Some(raised);
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).expect("the limit can be raised");
    raised
}

/// Under a low limit of open files, idle connections are evicted too.
#[test]
fn idle_connections_do_not_block_a_server_with_few_open_files() {
    let mut server = Server::builder().open_files(256).start();
    let address = server.url().trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..1000)
        .map(|_| TcpStream::connect(&address).expect("the system accepts"))
        .collect();
    let begun = Instant::now();
    ask(&address);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let log = server.log();
    assert!(log.contains("connections=192 open_files=256"), "{log}");
    assert!(!log.contains("cannot be accepted"), "{log}");
    drop(idle);
    assert!(server.terminate().success());
}

#[test]
fn a_limit_of_too_few_open_files_is_explained() {
    for limit in [8, 20, 63] {
        let finished = Server::builder().open_files(limit).run();
        assert!(!finished.status.success());
        let advice = format!(
            "allows this process {limit} open files, and it needs 64 at least; raise that with \
             `ulimit -n`"
        );
        assert!(finished.log.contains(&advice), "{}", finished.log);
    }
}

fn ask(address: &str) {
    let mut client = TcpStream::connect(address).expect("the system accepts");
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
