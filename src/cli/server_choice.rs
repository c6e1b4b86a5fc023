//! The server that a command talks to.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::connection::{ApiRefusal, ServerConnection};
use super::data_dir;
use super::hidden_input;
use super::server_client::{find_server, in_use};
use super::usage_error::UsageError;
use crate::agents::client::address::has_user_information;
use crate::agents::client::http_client::parse_url;
use crate::process::server_lock::{MAX_WAIT, WAIT_INTERVAL};
use crate::settings::Config;
use crate::store::maintenance::offline::OfflineDatabase;

/// The variable that holds the token for a server elsewhere.
const TOKEN: &str = "SESSIOND_TOKEN";

/// Where a command finds the data.
pub(super) enum DataSource {
    /// In the database, which no other process holds for writing.
    Offline(Box<OfflineDatabase>),
    /// At the server that holds it.
    Server(Box<ServerConnection>),
}

/// Opens the database, or connects to the server that holds it. A server that is about to listen is
/// waited for.
pub(super) fn open_or_connect(config: &Config) -> anyhow::Result<DataSource> {
    let path = config.storage.database();
    let started = Instant::now();
    loop {
        if let Some(database) = data_dir::open(config)? {
            return Ok(DataSource::Offline(Box::new(database)));
        }
        if let Some(server) = ServerConnection::running(&path)? {
            return Ok(DataSource::Server(Box::new(server)));
        }
        if started.elapsed() > MAX_WAIT {
            return Err(in_use(&path));
        }
        thread::sleep(WAIT_INTERVAL);
    }
}

/// Connects to the server at `url`; without one to the server that holds the data, or to one within
/// this process that resumes no turns. The data must exist.
pub(super) async fn connect_to_stored(
    config: &Config,
    url: Option<&str>,
) -> anyhow::Result<ServerConnection> {
    if let Some(url) = url {
        return connect_elsewhere(config, url).await;
    }
    let database = config.storage.database();
    if !find_server(&database)? {
        // A server would create it.
        fs::metadata(&database).map_err(|error| data_dir::io_error(error, &database))?;
    }
    ServerConnection::for_requests(config).await
}

/// Connects to the server at an address, with the token of the environment or of a prompt if it asks
/// for one.
pub(super) async fn connect_elsewhere(
    config: &Config,
    url: &str,
) -> anyhow::Result<ServerConnection> {
    let url = server_url(url)?;
    let token = config.environment.get(TOKEN);
    let can_ask = token.is_none() && io::stdin().is_terminal();
    let is_sendable = |token: &SecretString| {
        let bytes = token.expose_secret().bytes();
        bytes.into_iter().all(|byte| byte.is_ascii_graphic())
    };
    if token.as_ref().is_some_and(|token| !is_sendable(token)) {
        bail!(
            "{TOKEN} is not a token: it has a blank, a line break or another character that none has"
        );
    }
    let connection = ServerConnection::remote(&url, token)?;
    match connection.user().await {
        Ok(_) => Ok(connection),
        Err(error) if can_ask && is_unauthorized(&error) => {
            let token = ask_token(&url).await?.context("no token was entered")?;
            let connection = ServerConnection::remote(&url, Some(token))?;
            let entered = connection.user().await;
            if entered.as_ref().is_err_and(is_unauthorized) {
                bail!("the server does not accept the token that was entered");
            }
            entered?;
            Ok(connection)
        }
        Err(error) => Err(error),
    }
}

async fn ask_token(url: &Url) -> anyhow::Result<Option<SecretString>> {
    let prompt = format!("Token for {url}: ");
    let asking = tokio::task::spawn_blocking(move || hidden_input::ask(&prompt));
    Ok(asking.await??)
}

fn server_url(text: &str) -> Result<Url, UsageError> {
    let is_base =
        |url: &Url| !has_user_information(url) && url.query().is_none() && url.fragment().is_none();
    let url = parse_url(text).filter(is_base);
    url.ok_or_else(|| {
        UsageError(
            "invalid --url: expected the address of a server, such as https://sessions.example, \
             without a password, ? and #; the token comes from SESSIOND_TOKEN or a prompt"
                .to_owned(),
        )
    })
}

fn is_unauthorized(error: &anyhow::Error) -> bool {
    let refused: Option<&ApiRefusal> = error.downcast_ref();
    refused.is_some_and(|refused| refused.status == StatusCode::UNAUTHORIZED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_http_scheme_and_no_password() {
        for url in ["http://h:3000", "https://h/path/"] {
            assert!(server_url(url).is_ok(), "{url}");
        }
        for url in [
            "h:3000",
            "ftp://h",
            "http://token@h",
            "http://h/?token@",
            "http://h#a",
            "",
        ] {
            let error = server_url(url).unwrap_err().to_string();
            assert!(error.contains("such as https://"), "{error}");
            assert!(!error.contains("token@"), "{error}");
        }
    }
}
