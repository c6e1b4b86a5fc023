//! A connection to whatever listens at an address.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What costs a server nothing takes no longer than this, or it is not there.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is not written to a file.
const MAX_ANSWER: usize = 64 * 1024;

/// A connection, for one request after the other.
pub(super) struct Connection {
    address: SocketAddr,
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await;
        let stream = stream.with_context(|| format!("{address} cannot be reached"))??;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the connection, whose end the body tells of.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// The answer to a request; its body comes as it is read.
    pub(super) async fn get(
        &mut self,
        path: &str,
        token: Option<&str>,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::get(path).header(header::HOST, self.address.to_string());
        if let Some(token) = token {
            request = request.header("x-api-key", token);
        }
        self.sender.ready().await?;
        let request = request.body(Empty::<Bytes>::new())?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// The short text of an answer.
pub(super) async fn text(body: Incoming) -> anyhow::Result<String> {
    let body = timeout(PATIENCE, Limited::new(body, MAX_ANSWER).collect()).await;
    let body = body.context("the answer does not end")?;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}
