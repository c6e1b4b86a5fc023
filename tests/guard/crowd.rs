//! More connections than anybody needs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::server::Server;

/// The most connections of a server with nothing but defaults.
const MAX_CONNECTIONS: usize = 10_000;

/// What this process and the server need beside the connections.
const SPARE_FILES: u64 = 200;

#[test]
fn ten_thousand_idle_connections_do_not_keep_a_new_client_out() {
    let wanted = MAX_CONNECTIONS as u64 + SPARE_FILES;
    let files = raise_open_files(wanted);
    // Where the system allows fewer, the server's own limit is set as low.
    let crowd = usize::try_from(files.min(wanted) - SPARE_FILES).unwrap();
    let mut server = Server::builder()
        .env("MAX_CONNECTIONS", crowd.to_string())
        .start();
    let address = server.url().trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..crowd)
        .map(|_| TcpStream::connect(&address).expect("the system has room"))
        .collect();
    for _ in 0..20 {
        ask(&address);
    }
    drop(idle);
    assert!(server.terminate().success());
}

/// Raises the limit of open files to this, or as far as the system lets us; returns what it is.
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

/// Where the system allows few open files, the idle connections give way just the same.
#[test]
fn a_server_that_may_open_few_files_is_not_held_up_by_idle_connections() {
    let mut server = Server::builder().open_files(256).start();
    let address = server.url().trim_start_matches("http://").to_owned();
    let idle: Vec<_> = (0..1000)
        .map(|_| TcpStream::connect(&address).expect("the system has room"))
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
fn a_server_that_can_open_next_to_no_files_says_what_to_do() {
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
    let mut client = TcpStream::connect(address).expect("the system has room");
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
