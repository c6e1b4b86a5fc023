//! A log that no one reads: the memory of the server stays bounded, it answers, and dropped lines
//! are counted. Long texts of clients are shortened in log lines.

#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process;
use crate::support::server::Server;

const TOKEN: &str = "the-token-of-the-log-tests";

/// More refusals than lines fit into the audit queue: 16,384.
const REQUESTS: usize = 17_600;

/// How many of them have a long path, and its length in bytes: 60 MB if it were logged whole.
const LONG_REQUESTS: usize = 1_000;
const LONG_PATH: usize = 60_000;

/// Requests in flight on a connection.
const PIPELINED: usize = 50;

/// How much the peak of memory may grow, in KiB: two queues of 8 MiB each, plus the overhead of the
/// allocator and the connections.
const MAX_GROWTH: u64 = 48 * 1024;

/// A server whose log is a pipe that only the test reads.
struct Piped {
    child: Child,
    address: String,
    log: BufReader<ChildStdout>,
    _home: TempDir,
}

impl Piped {
    fn start() -> Self {
        let home = TempDir::with_prefix("sessiond-test-").expect("a temporary directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sessiond"))
            .current_dir(home.path())
            .env_clear()
            .env("DATA_DIR", home.path().join("data"))
            .env("SERVER_PORT", "0")
            .env("SESSIOND_ADMIN_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary under test can be started");
        let mut log = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut address = None;
        while address.is_none() {
            let line = line(&mut log);
            let message = line["message"].as_str().expect("a message");
            address = message
                .strip_prefix("listening on http://")
                .map(str::to_owned);
        }
        Self {
            child,
            address: address.expect("it is set"),
            log,
            _home: home,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).expect("a connection")
    }

    /// Returns the peak of its resident memory, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process is there");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|peak| peak.trim().strip_suffix(" kB"))
            .expect("Linux reports the peak");
        peak.parse().expect("a number")
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {TOKEN}\r\n\
             Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn dropped(&self) -> u64 {
        let metrics = self.get("/metrics");
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix("sessiond_log_lines_dropped_total "));
        value.expect("the metric").parse().expect("a number")
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}

fn line(log: &mut impl std::io::BufRead) -> Value {
    let mut line = String::new();
    log.read_line(&mut line).expect("the log is UTF-8");
    serde_json::from_str(&line).expect("each line of the log is an object")
}

/// Makes requests without credentials. Each is an audit line.
fn flood(server: &Piped) {
    let long = "x".repeat(LONG_PATH);
    let mut stream = server.connect();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for first in (0..REQUESTS).step_by(PIPELINED) {
        let numbers = first..REQUESTS.min(first + PIPELINED);
        let mut requests = String::new();
        for number in numbers.clone() {
            let path = if number < LONG_REQUESTS {
                &long
            } else {
                "short"
            };
            write!(requests, "GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        }
        let mut writing = stream.try_clone().unwrap();
        let writing = thread::spawn(move || writing.write_all(requests.as_bytes()).unwrap());
        for _ in numbers {
            assert_eq!(answer(&mut answers), 401);
        }
        writing.join().unwrap();
    }
    stream.flush().unwrap();
}

/// Reads a whole response. Returns its status.
fn answer(answers: &mut impl std::io::BufRead) -> u16 {
    let mut length = 0;
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(sent) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = sent.trim().parse().unwrap();
        }
        head.push(line);
    }
    answers.read_exact(&mut vec![0; length]).unwrap();
    head[0].split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_unread_log_is_bounded_in_bytes_and_dropped_lines_are_reported() {
    let mut server = Piped::start();
    server.get("/healthz");
    let before = server.peak();

    flood(&server);
    let asked = Instant::now();
    assert!(server.get("/healthz").contains("200 OK"));
    assert!(asked.elapsed() < Duration::from_secs(1));
    let grown = server.peak() - before;
    assert!(grown < MAX_GROWTH, "the peak has grown by {grown} KiB");
    let dropped = server.dropped();
    assert!(dropped > 0, "some lines are too many");

    // Once the log is read, every line either arrives or is reported as dropped.
    let (mut refusals, mut reported) = (0, 0);
    while refusals + reported < REQUESTS as u64 {
        let line = line(&mut server.log);
        if line["status"] == 401 {
            refusals += 1;
            assert!(line["path"].as_str().unwrap().len() < 300, "{line}");
        }
        if line["queue"] == "log-audit" {
            reported += line["lines"].as_u64().unwrap();
            let message = line["message"].as_str().unwrap();
            assert!(message.starts_with("log lines were dropped"), "{line}");
        }
    }
    // The requests for the metrics are audit lines too.
    assert!(reported >= dropped, "{reported} of {dropped}");
    assert!(refusals > 10_000, "{refusals} of {REQUESTS} lines arrive");

    // The log works as before.
    server.get("/nowhere");
    let found = (0..10).any(|_| line(&mut server.log)["path"] == "/nowhere");
    assert!(found);
}

/// Makes requests with a long text wherever clients can put one.
#[test]
fn no_text_of_a_client_makes_a_log_line_long() {
    let mut server = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .env("RUST_LOG", "trace")
        .start();
    let text = "x".repeat(LONG_PATH);
    let wide = "€".repeat(LONG_PATH / 3);
    let id = "i".repeat(128);
    let requests = [
        format!("GET /{text} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {id}\r\n"),
        format!("GET /{wide} HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {TOKEN}\r\n"),
        format!("GET /a?{text} HTTP/1.1\r\nHost: localhost\r\n"),
        format!("{} /b HTTP/1.1\r\nHost: localhost\r\n", text.to_uppercase()),
        format!("GET /c HTTP/1.1\r\nHost: {text}\r\n"),
        format!("GET /d HTTP/1.1\r\nHost: localhost\r\nOrigin: http://{text}\r\n"),
        format!("GET /e HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {text}\r\n"),
        format!("GET /f HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {text}\r\n"),
        format!("GET /g HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {text}\r\n"),
        format!("GET /h HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {text}\r\n"),
        format!("GET /i HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {text}\r\n"),
        format!(
            "GET /socket.io/?EIO=4&transport={text} HTTP/1.1\r\nHost: localhost\r\n\
             X-API-KEY: {TOKEN}\r\n"
        ),
        format!("GET /socket.io/{text} HTTP/1.1\r\nHost: localhost\r\n"),
    ];
    let address = server.url().trim_start_matches("http://").to_owned();
    for request in &requests {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "{request}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 "), "{}", &request[..40]);
    }
    assert!(server.terminate().success());
    let log = server.log();
    let shown = |text: &str| format!("{}…({} bytes)", text, LONG_PATH + 1);
    for (what, cut) in [
        ("a path", shown(&format!("/{}", "x".repeat(255)))),
        (
            "a path of wide characters",
            shown(&format!("/{}", "€".repeat(85))),
        ),
        ("a whole request id", id),
    ] {
        assert!(log.contains(&cut), "{what}: {log}");
    }
    for line in log.lines() {
        assert!(line.len() < 1000, "{} bytes: {line}", line.len());
    }
}
