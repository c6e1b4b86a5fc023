//! `sessiond healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Config;

/// A server that takes longer is not healthy.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the running server how it is.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    let address = address(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(address)).await });
    let (status, body) = answer
        .with_context(|| format!("{address} did not answer within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("no server answers at {address}"))?;
    say(&body);
    if status == StatusCode::OK {
        Ok(())
    } else {
        bail!("the server is not healthy ({status})")
    }
}

/// Where a server with this configuration is reached from here.
fn address(config: &Config) -> anyhow::Result<SocketAddr> {
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

async fn ask(address: SocketAddr) -> anyhow::Result<(StatusCode, String)> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let request = Request::get("/health")
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), 64 * 1024)
            .collect()
            .await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => {
            ended?;
            bail!("the server closed the connection")
        }
    }
}

#[allow(clippy::print_stdout)] // It is the command's answer.
fn say(body: &str) {
    println!("{body}");
}
