//! Runs the server behind nginx and Caddy, with exactly the settings in SECURITY.md.
//!
//! Needs Debian's nginx and caddy besides what `support/node.rs` says, where it also says what
//! happens if something is missing.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]
#![allow(
    clippy::print_stderr,
    reason = "the test harness shows it when the test has failed"
)]

mod support;

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::node::{self, run};
use support::process;
use support::server::Server;
use tempfile::TempDir;

const TEST_LIMIT: Duration = Duration::from_mins(3);

/// The longest that a proxy may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

const TOKEN: &str = "what-the-proxied-clients-send";
const AGENT: &str = "6d2b2d9c-5b0a-4c39-9d1c-1b9a4f6b2a10";

/// The origin that may call besides the proxy's own.
const ORIGIN: &str = "https://chat.example";

/// The server's address in the blocks of SECURITY.md.
const SERVER: &str = "127.0.0.1:3000";

/// The site's address in the block for Caddy.
const SITE: &str = "chat.example";

/// A proxy as a foreground process. Dropping it kills it.
struct Proxy {
    child: Child,
    directory: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        process::kill(&mut self.child);
        if thread::panicking() {
            eprintln!("Output of the proxy:\n{}", output(self.directory.path()));
        }
    }
}

#[test]
fn clients_work_behind_nginx_as_documented() {
    let Some(program) = program("nginx") else {
        return node::skip("there is no nginx on this machine");
    };
    clients_work_behind(|directory, port, server| {
        let [map, location] = blocks("nginx", server).try_into().expect("two blocks");
        // A single process, so that killing it ends all of it; its files stay in its directory.
        let directories: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let settings = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {directories}{map}\nserver {{\nlisten 127.0.0.1:{port};\n{location}\n}}\n}}\n"
        );
        fs::write(directory.join("nginx.conf"), settings).expect("a file can be written");
        let mut command = Command::new(program);
        command.arg("-p").arg(directory);
        command.args(["-c", "nginx.conf", "-e", "stderr"]);
        command
    });
}

#[test]
fn clients_work_behind_caddy_as_documented() {
    let Some(program) = program("caddy") else {
        return node::skip("there is no Caddy on this machine");
    };
    clients_work_behind(|directory, port, server| {
        let [block] = blocks("caddyfile", server).try_into().expect("one block");
        assert!(block.starts_with(SITE), "{block}");
        let site = format!("http://127.0.0.1:{port}");
        let settings = format!("{{\nadmin off\n}}\n{}", block.replacen(SITE, &site, 1));
        fs::write(directory.join("Caddyfile"), settings).expect("a file can be written");
        let mut command = Command::new(program);
        command
            .args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"])
            .env("HOME", directory);
        command
    });
}

/// Runs the clients against a server behind a proxy. `proxy` gets the proxy's directory and port,
/// and the server's address.
fn clients_work_behind(proxy: impl FnOnce(&Path, u16, &str) -> Command) {
    let clients = match node::prepare("clients") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };
    let stand_in = format!("http://127.0.0.1:{}", free_port());
    let server = server(&stand_in);
    let (proxy, url) = start(proxy, &server);
    let tests = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec", "proxied.mjs"])
            .current_dir(clients.path())
            .env("SESSIOND_URL", url)
            .env("SESSIOND_TOKEN", TOKEN)
            .env("SESSIOND_AGENT", AGENT)
            .env("SESSIOND_STAND_IN", &stand_in)
            .env("SESSIOND_ORIGIN", ORIGIN),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
    drop(proxy);
    // The clients called from this address, once with a forged one in their own header.
    for path in ["/plain", "/invented"] {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(path));
        let line = line.expect("a refusal is an audit line");
        assert!(line.contains("address=127.0.0.2 "), "{line}");
    }
}

/// Starts a server with the settings in SECURITY.md, and an agent that calls the stand-in.
fn server(stand_in: &str) -> Server {
    let builder = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .env("TRUSTED_PROXIES", "127.0.0.1")
        .env("CORS_ORIGIN", ORIGIN);
    let agents = builder.data_dir().join("agents");
    fs::create_dir_all(&agents).expect("a new directory");
    let character = json!({
        "id": AGENT,
        "name": "Slow",
        "settings": { "backend": { "type": "webhook", "url": stand_in } },
    });
    fs::write(agents.join("slow.json"), character.to_string()).expect("a file can be written");
    builder.start()
}

fn start(command: impl FnOnce(&Path, u16, &str) -> Command, server: &Server) -> (Proxy, String) {
    let directory = TempDir::with_prefix("sessiond-proxy-").expect("a temporary directory");
    let port = free_port();
    let address = server.url().trim_start_matches("http://");
    let mut command = command(directory.path(), port, address);
    let output = File::create(directory.path().join("output")).expect("a new file");
    let child = command
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a file can be cloned"))
        .stderr(output)
        .spawn()
        .expect("the proxy can be started");
    let mut proxy = Proxy { child, directory };
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let ended = proxy.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "the proxy ended: {ended:?}");
        assert!(start.elapsed() < START_LIMIT, "the proxy does not listen");
        thread::sleep(POLL);
    }
    (proxy, format!("http://127.0.0.1:{port}"))
}

fn output(directory: &Path) -> String {
    fs::read_to_string(directory.join("output")).unwrap_or_default()
}

/// Returns the code blocks of a language in the section on proxies, with the server's real address.
fn blocks(language: &str, server: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let text = fs::read_to_string(file).expect("SECURITY.md can be read");
    let (_, rest) = text
        .split_once("\n## Behind a reverse proxy\n")
        .expect("the section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let fence = format!("\n```{language}\n");
    let blocks: Vec<_> = section
        .split(&fence)
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default())
        .map(|block| block.replace(SERVER, server))
        .collect();
    assert!(blocks.concat().contains(server), "{blocks:?}");
    blocks
}

/// Returns a free port.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Returns the path of a program. Debian installs servers in directories that not every `PATH` has.
fn program(name: &str) -> Option<PathBuf> {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin");
    let mut candidates = env::split_paths(&path).map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_file())
}
