//! Asking the running server.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;

use super::remedy;
use crate::config::Config;

/// The longest answer that is not written to a file.
const MAX_ANSWER: usize = 64 * 1024;

/// Where a server with this configuration is reached from here.
pub(super) fn address(config: &Config) -> anyhow::Result<SocketAddr> {
    let address = *config
        .server
        .addresses
        .first()
        .context("there is no address to ask")?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}

/// Writes what the server answers into `out` as it comes; `told` hears of every piece.
pub(super) fn download(
    config: &Config,
    path: &str,
    out: &mut dyn Write,
    told: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    let address = address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut response = get(config, address, path)
            .await
            .with_context(|| format!("a server holds the database, but not one at {address}"))
            .map_err(|error| remedy::after(&error, remedy::ADDRESS))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let reason = reason(response.into_body()).await;
            bail!("the server at {address} refused ({status}): {reason}");
        }
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.context("the server broke off")?;
            if let Some(piece) = frame.data_ref() {
                out.write_all(piece)?;
                told(piece.len() as u64);
            }
        }
        Ok(())
    })
}

/// The answer to a request; its body comes as it is read.
pub(super) async fn get(
    config: &Config,
    address: SocketAddr,
    path: &str,
) -> anyhow::Result<Response<Incoming>> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // It ends with the connection, whose end the body tells of.
    tokio::spawn(connection);
    let mut request = Request::get(path).header(header::HOST, address.to_string());
    if let Some(token) = token(config) {
        request = request.header("x-api-key", token);
    }
    Ok(sender
        .send_request(request.body(Empty::<Bytes>::new())?)
        .await?)
}

/// The short text of an answer.
pub(super) async fn text(body: Incoming) -> anyhow::Result<String> {
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The credentials of whoever runs the server.
fn token(config: &Config) -> Option<&str> {
    let tokens = &config.guard.tokens;
    let token = tokens.admin.as_ref().or(tokens.server.as_ref())?;
    Some(token.expose_secret())
}

/// What an error says.
async fn reason(body: Incoming) -> String {
    let text = text(body).await.unwrap_or_default();
    let error: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let details = error
        .as_ref()
        .and_then(|error| error["error"]["details"].as_str());
    details.map_or(text.clone(), str::to_owned)
}
