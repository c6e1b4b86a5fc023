//! The server that a command talks to.

use std::fs;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use reqwest::{StatusCode, Url};
use secrecy::SecretString;

use super::connection::{ApiRefusal, ServerConnection};
use super::data_dir;
use super::hidden_input;
use super::server_client::find_server;
use super::usage_error::UsageError;
use crate::agents::client::address::has_user_information;
use crate::agents::client::http_client::parse_url;
use crate::settings::Config;

/// The variable that holds the token for a server elsewhere.
const TOKEN: &str = "SESSIOND_TOKEN";

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
    let connection = ServerConnection::remote(&url, token)?;
    match connection.user().await {
        Ok(_) => Ok(connection),
        Err(error) if can_ask && is_unauthorized(&error) => {
            let token = ask_token(&url).await?.context("no token was entered")?;
            let connection = ServerConnection::remote(&url, Some(token))?;
            connection.user().await?;
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
    let url = parse_url(text).filter(|url| !has_user_information(url));
    url.ok_or_else(|| {
        UsageError(
            "invalid --url: expected the address of a server, such as https://sessions.example, \
             without a password; the token comes from SESSIOND_TOKEN or a prompt"
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
        for url in ["h:3000", "ftp://h", "http://token@h", ""] {
            let error = server_url(url).unwrap_err().to_string();
            assert!(error.contains("such as https://"), "{error}");
            assert!(!error.contains("token@"), "{error}");
        }
    }
}
