//! Refused starts of the real binary, and its messages.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sessiond::settings::SETTINGS;

use super::support::server::{Builder, Server};

/// Returns the output of a start, which must be refused.
pub(crate) fn refused(builder: &Builder) -> String {
    let finished = builder.run();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.log);
    assert!(finished.log.contains("sessiond: "), "{}", finished.log);
    assert!(!finished.log.contains("panicked"), "{}", finished.log);
    assert!(!finished.log.contains("listening on"), "{}", finished.log);
    finished.log
}

#[test]
fn a_port_in_use_is_reported() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = holder.local_addr().expect("an address").port().to_string();
    let builder = Server::builder().env("SERVER_PORT", &port);
    let log = refused(&builder);
    assert!(log.contains(&format!("127.0.0.1:{port}")), "{log}");
    assert!(log.contains("choose another port with --port"), "{log}");
    assert!(
        !builder.data_dir().exists(),
        "a refused start leaves nothing"
    );
}

#[test]
fn a_public_address_requires_a_token() {
    let open = || Server::builder().env("SERVER_HOST", "0.0.0.0");
    let log = refused(&open());
    assert!(log.contains("0.0.0.0"), "{log}");
    assert!(log.contains("ELIZA_SERVER_AUTH_TOKEN"), "{log}");
    assert!(log.contains("SESSIOND_INSECURE"), "{log}");
    let builder = open();
    assert!(!builder.data_dir().exists());
    refused(&open().env("ELIZA_SERVER_AUTH_TOKEN", " "));
    refused(&open().env("SESSIOND_INSECURE", "false"));

    let server = open()
        .env("ELIZA_SERVER_AUTH_TOKEN", "s3cret-t0ken")
        .start();
    assert!(!server.log().contains("s3cret"), "{}", server.log());
    let _insecure = open().arg("--sessiond-insecure").start();
}

#[test]
fn the_healthcheck_asks_the_running_server() {
    let mut server = Server::start();
    let (_, port) = server.url().rsplit_once(':').expect("a port");
    let check = || {
        Server::builder()
            .env("SERVER_PORT", port)
            .arg("healthcheck")
    };
    let builder = check();
    let healthy = builder.run();
    assert_eq!(healthy.status.code(), Some(0), "{}", healthy.log);
    assert!(healthy.log.contains("healthy"), "{}", healthy.log);
    assert!(!builder.data_dir().exists(), "it only sends a request");
    let any_address = check().env("SERVER_HOST", "0.0.0.0");
    let asked = any_address.env("SESSIOND_INSECURE", "1").run();
    assert_eq!(asked.status.code(), Some(0), "{}", asked.log);

    let check = check();
    assert!(server.terminate().success());
    let log = refused(&check);
    assert!(log.contains("no server answers at 127.0.0.1"), "{log}");
    let remedy = "start it with `sessiond`, or set its address with SERVER_HOST and SERVER_PORT";
    assert!(log.contains(remedy), "{log}");
}

#[test]
fn the_healthcheck_does_not_wait_forever() {
    // It accepts connections, and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = mute.local_addr().expect("an address").port().to_string();
    let check = Server::builder()
        .env("SERVER_PORT", port)
        .arg("healthcheck");
    let log = refused(&check);
    assert!(log.contains("did not answer within"), "{log}");
}

#[test]
fn the_help_names_every_setting() {
    let builder = Server::builder().arg("--help");
    let help = builder.run();
    assert_eq!(help.status.code(), Some(0), "{}", help.log);
    for setting in SETTINGS.iter() {
        let (name, flag) = (setting.name(), format!("--{}", setting.flag()));
        let is_named = help.log.contains(&flag) && help.log.contains(name);
        let is_offered = !setting.arg().is_hide_set();
        assert_eq!(is_named, is_offered, "{name} in {}", help.log);
    }
    assert!(!builder.data_dir().exists());
    let version = Server::builder().arg("--version").run();
    assert_eq!(version.status.code(), Some(0));
    assert!(version.log.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_unknown_argument_is_refused() {
    for wrong in ["--sesion-default-timeout-minutes=5", "serv", "--prot=1"] {
        let finished = Server::builder().arg(wrong).run();
        assert_eq!(finished.status.code(), Some(2), "{}", finished.log);
        assert!(finished.log.contains("Usage"), "{}", finished.log);
    }
}

#[test]
fn the_data_is_accessible_only_to_its_owner() {
    let mode = |path: &Path| {
        let metadata = fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o7777
    };
    let builder = Server::builder();
    let dir = builder.home().join("some/where");
    let mut server = builder.env("DATA_DIR", &dir).start();
    for _ in 0..2 {
        assert_eq!(mode(&dir), 0o700);
        let files = fs::read_dir(&dir).expect("the directory can be read");
        let mut names = Vec::new();
        for file in files {
            let file = file.expect("the directory can be read");
            let expected = if file.path().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&file.path()), expected, "{file:?}");
            names.push(file.file_name());
        }
        names.sort();
        let expected = ["agents", "sessiond.lock", "sessiond.redb", "sessiond.sock"];
        assert_eq!(names, expected);
        server.restart();
    }
}
