//! More connections than anybody needs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::server::Server;

/// The most connections of a server with nothing but defaults.
const MAX_CONNECTIONS: usize = 10_000;

/// What this process and the server need beside the connections.
const SPARE_FILES: u64 = 200;

#[test]
fn ten_thousand_idle_connections_do_not_keep_a_new_client_out() {
    let wanted = MAX_CONNECTIONS as u64 + SPARE_FILES;
    let files = rlimit::increase_nofile_limit(wanted).expect("the limit can be read");
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
        let mut client = TcpStream::connect(&address).expect("the system has room");
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    drop(idle);
    assert!(server.terminate().success());
}
