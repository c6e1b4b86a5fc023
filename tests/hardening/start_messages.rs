//! The messages about invalid settings at the start, as pages to proofread.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::server::{Builder, Server};

/// A page of messages, each below the settings that cause it.
struct Page {
    text: String,
    /// A port in use, so that each start fails at the latest when it binds it.
    port: TcpListener,
}

impl Page {
    fn new() -> Self {
        Self {
            text: String::new(),
            port: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// Starts the server with these variables, arguments and lines of `.env`.
    fn add(&mut self, env: &[(&str, &str)], args: &[&str], file: &str) {
        let port = self.port.local_addr().unwrap().port();
        let mut builder = Server::builder().env("SERVER_PORT", port.to_string());
        fs::write(builder.home().join(".env"), file).unwrap();
        for (name, value) in env {
            builder = builder.env(*name, *value);
        }
        for arg in args {
            builder = builder.arg(*arg);
        }
        let env = env.iter().map(|(name, value)| format!("{name}={value:?}"));
        let mut set: Vec<_> = env.collect();
        set.extend(args.iter().map(|&arg| arg.to_owned()));
        set.extend(file.lines().map(|line| format!(".env: {line}")));
        self.start(&builder, &set.join("\n# "));
    }

    /// Starts the server with a variable.
    fn env(&mut self, name: &str, value: &str) {
        self.add(&[(name, value)], &[], "");
    }

    /// Starts the server with a file for a secret.
    fn secret(&mut self, content: impl AsRef<[u8]>, mode: u32) {
        let port = self.port.local_addr().unwrap().port();
        let builder = Server::builder()
            .env("SERVER_PORT", port.to_string())
            .env("ELIZA_SERVER_AUTH_TOKEN_FILE", "token");
        let path = builder.home().join("token");
        fs::write(&path, content.as_ref()).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let size = content.as_ref().len();
        let set = format!("ELIZA_SERVER_AUTH_TOKEN_FILE=\"token\", {size} bytes, mode {mode:o}");
        self.start(&builder, &set);
    }

    fn start(&mut self, builder: &Builder, set: &str) {
        let finished = builder.run();
        let code = finished.status.code();
        assert_eq!(code, Some(1), "{set}: {}", finished.log);
        writeln!(self.text, "# {set}").unwrap();
        for line in finished.log.lines() {
            let line = match line.split_once(" WARN ") {
                Some((_, warning)) => format!("WARN {warning}"),
                None if line.contains("cannot listen on 127.0.0.1:") => continue,
                None => without_token(line),
            };
            writeln!(self.text, "{line}").unwrap();
        }
        self.text.push('\n');
    }
}

/// Returns a line without the random token that it suggests.
fn without_token(line: &str) -> String {
    let name = "ELIZA_SERVER_AUTH_TOKEN=";
    let offered = line.trim_start().strip_prefix(name);
    match offered.filter(|token| token.len() == 64) {
        Some(token) => line.replace(token, "[a random token]"),
        None => line.to_owned(),
    }
}

#[test]
fn values_that_cannot_be_read() {
    let mut page = Page::new();
    page.env("SESSION_MIN_TIMEOUT_MINUTES", "5m");
    page.add(&[], &["--session-max-timeout-minutes", "1.5"], "");
    page.add(&[], &[], "\n\nSESSIOND_CACHE_MB=1GB # of memory");
    page.env("SESSION_RETENTION_MINUTES", "-1");
    page.env("SESSION_VERIFY_INTERVAL_HOURS", "-1");
    page.env("RATE_LIMIT_CREATES_PER_MINUTE", "-1");
    page.add(&[], &["--max-sessions-per-user=ten"], "");
    page.env("SERVER_PORT", "70000");
    page.add(&[], &["--server-port", "http"], "");
    page.env("SERVER_HOST", "no such host.invalid");
    page.env("CLEAR_SESSIONS_ON_SHUTDOWN", "maybe");
    page.add(&[], &["--sessiond-insecure=yes"], "");
    page.add(&[("LOG_FORMAT", "")], &[], "# a\n# b\nLOG_FORMAT=xml");
    page.env("RUST_LOG", "sessiond=debgu");
    page.add(&[], &[], "RUST_LOG=verbose");
    page.env("RUST_LOG", "info,sessiond::api=loud");
    page.env("CORS_ORIGIN", "https://a.example, b.example");
    page.env("CORS_ORIGIN", "*, https://a.example");
    page.env("TRUSTED_PROXIES", "10.0.0.0/8, 10.0.0.0/40");
    page.env("SESSION_TIME_SCALE", "fast");
    page.add(&[], &[], "JWT_ISSUER=https://issuer.example");
    insta::assert_snapshot!(page.text);
}

#[test]
fn values_that_are_adjusted() {
    let mut page = Page::new();
    page.add(&[], &[], "BACKUP_DIR=backups");
    page.env("SESSION_MIN_TIMEOUT_MINUTES", "61");
    page.add(&[], &["--sessiond-cache-mb=-5"], "");
    page.add(
        &[],
        &[],
        "KEEP_ALIVE_SECONDS=99999999999999999999999999999999999999999",
    );
    page.env("SESSION_DEFAULT_TIMEOUT_MINUTES", "2000");
    page.env("SESSION_MAX_TIMEOUT_MINUTES", "60");
    page.env("SESSION_MIN_TIMEOUT_MINUTES", "45");
    insta::assert_snapshot!(page.text);
}

#[test]
fn names_that_are_no_settings() {
    let mut page = Page::new();
    page.env("SERVER_PRT", "1");
    page.add(&[], &[], "SESSION_RETENTION_MINUTE=1");
    page.env("SEVER_PORT", "1");
    page.env("server_port", "1");
    page.env("OPENAI_API_KEY", "s3cret");
    page.add(&[], &[], "NOTE='what\nJWT_SECRET=abc\nI mean'");
    insta::assert_snapshot!(page.text);
}

#[test]
fn secrets() {
    let mut page = Page::new();
    page.add(
        &[("JWT_SECRET", "s3cret")],
        &[],
        "JWT_SECRET_FILE=/run/secrets/jwt",
    );
    page.add(&[], &["--jwt-secret-file=/run/secrets/jwt"], "");
    page.env("SESSIOND_ADMIN_TOKEN_FILE", "s3cret");
    page.env("SESSIOND_ADMIN_TOKEN_FILE", &"s3cret".repeat(50));
    page.env("JWT_SECRET_FILE", "/");
    page.secret("", 0o600);
    page.secret("\n", 0o600);
    page.secret(b"\xFF\xFEk\0e\0y\0", 0o600);
    page.secret("x".repeat((64 << 10) + 1), 0o600);
    page.secret("a-token-of-sixteen", 0o644);
    page.secret("s3cret\nof two lines", 0o600);
    page.add(&[], &[], "# To be filled in\nELIZA_SERVER_AUTH_TOKEN=");
    page.add(
        &[("SESSIOND_ADMIN_TOKEN", " ")],
        &[],
        "SESSIOND_ADMIN_TOKEN=a-token-of-sixteen",
    );
    page.env("ELIZA_SERVER_AUTH_TOKEN", "fifteen letters");
    page.env("JWT_SECRET", " short");
    page.add(
        &[("SESSIOND_ADMIN_TOKEN", "a-token-of-sixteen")],
        &["--eliza-server-auth-token=a-token-of-sixteen"],
        "",
    );
    insta::assert_snapshot!(page.text);
}

#[test]
fn addresses_that_others_can_reach() {
    let mut page = Page::new();
    page.env("SERVER_HOST", "0.0.0.0");
    page.add(
        &[("ELIZA_SERVER_AUTH_TOKEN", "")],
        &["--server-host", "::"],
        "",
    );
    page.add(
        &[("ELIZA_SERVER_AUTH_TOKEN", "a-token-of-sixteen")],
        &["--session-time-scale=60"],
        "SERVER_HOST=0.0.0.0",
    );
    insta::assert_snapshot!(page.text);
}

#[test]
fn lines_of_the_env_file() {
    let mut page = Page::new();
    for line in [
        "ELIZA_SERVER_AUTH_TOKEN s3cret",
        "ELIZA_SERVER_AUTH_TOKEN: s3cret",
        "ELIZA_SERVER_AUTH_TOKEN=abc#s3cret",
        "ELIZA_SERVER_AUTH_TOKEN='s3cret",
        "ELIZA_SERVER_AUTH_TOKEN=\"a\" s3cret",
        "ELIZA_SERVER_AUTH_TOKEN='s3cret\\'\nB=don'",
        "ELIZA_SERVER_AUTH_TOKEN=s3\u{2028}cret",
    ] {
        page.add(&[], &[], &format!("# Mine\n{line}"));
    }
    let builder = Server::builder();
    fs::write(builder.home().join(".env"), b"A=1\nB=\xE9\n").unwrap();
    page.start(&builder, ".env: B=\\xE9");
    let builder = Server::builder();
    fs::create_dir(builder.home().join(".env")).unwrap();
    page.start(&builder, ".env is a directory");
    let builder = Server::builder();
    let large = "# A long comment\n".repeat(1 << 16);
    fs::write(builder.home().join(".env"), large).unwrap();
    page.start(&builder, ".env of 1.1 MB");
    insta::assert_snapshot!(page.text);
}

#[test]
fn values_that_are_not_unicode() {
    let mut page = Page::new();
    let value = || std::ffi::OsString::from_vec(b"data\xE9".to_vec());
    let builder = Server::builder().env("DATA_DIR", value());
    page.start(&builder, "DATA_DIR=data\\xE9");
    insta::assert_snapshot!(page.text);
}
