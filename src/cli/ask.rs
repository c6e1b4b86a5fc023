//! Asking the running server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Response, StatusCode, header};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use uuid::Uuid;

use super::connection::{Connection, PATIENCE, text};
use super::place::{self, Holder};
use super::remedy;
use crate::config::Config;
use crate::instance;
use crate::json;

/// A server that sends nothing for so long in the midst of its answer has stopped.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a server is asked for.
pub(super) struct Wanted<'a> {
    pub(super) path: &'a str,
    /// The content type of the answer.
    pub(super) kind: &'static str,
}

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

/// Hands on what the server of the database answers, piece by piece as it comes. Any other server
/// is asked for nothing, and gets no token.
pub(super) fn download(
    config: &Config,
    wanted: &Wanted<'_>,
    take: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let database = place::database(config);
    let Holder::Server(id) = place::holder(&database)? else {
        return Err(place::held_by_somebody(&database));
    };
    let server = Server {
        id,
        address: address(config)?,
        config,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut response = server.ask(wanted).await?;
        while let Some(piece) = next_piece(response.body_mut(), LONGEST_PAUSE).await? {
            take(&piece)?;
        }
        Ok(())
    })
}

/// The server that holds the database.
struct Server<'a> {
    id: Uuid,
    address: SocketAddr,
    config: &'a Config,
}

impl Server<'_> {
    async fn ask(&self, wanted: &Wanted<'_>) -> anyhow::Result<Response<Incoming>> {
        let mut connection = self.find().await?;
        // On the same connection, so that it is the same server.
        let asking = connection.get(wanted.path, token(self.config));
        let response = self.while_it_lives(asking).await??;
        let status = response.status();
        if status != StatusCode::OK {
            let reason = reason(response.into_body()).await;
            let refused = format!("the server at {} refused ({status})", self.address);
            let Some(remedy) = remedy::of_refusal(status, token(self.config).is_some()) else {
                bail!("{refused}: {reason}");
            };
            bail!("{refused}: {reason}; {remedy}");
        }
        if !is_of_kind(&response, wanted.kind) {
            bail!(
                "the server at {} answered with something else than was asked for",
                self.address
            );
        }
        Ok(response)
    }

    /// A connection to the server. What answers at the address may be another one, which must not
    /// see a token and has other data.
    async fn find(&self) -> anyhow::Result<Connection> {
        let address = self.address;
        let reached = Connection::open(address).await;
        let mut connection = reached
            .with_context(|| format!("a server holds the database, but not one at {address}"))
            .map_err(|error| remedy::after(&error, remedy::ADDRESS))?;
        let asking = connection.get("/healthz", None);
        let answered = timeout(PATIENCE, asking).await;
        let answered = answered.with_context(|| {
            let seconds = PATIENCE.as_secs();
            format!("what listens at {address} did not answer within {seconds} s")
        })?;
        // Its words are of no interest, but they stand in the way of the next answer.
        let found = match answered {
            Ok(response) => {
                let found = id_in(&response);
                text(response.into_body()).await?;
                found
            }
            Err(_) => None,
        };
        if found == Some(self.id) {
            return Ok(connection);
        }
        let who = match found {
            Some(_) => "another server",
            None => "no sessiond of this version",
        };
        bail!(
            "at {address} answers {who}, and not the one that holds {}: SERVER_HOST and \
             SERVER_PORT must be those of the server of this data folder. It was sent no token and \
             asked for nothing",
            place::database(self.config).display()
        )
    }

    /// Waits for what may take its time, as the copy of a large database does, for as long as the
    /// server says that it is there.
    async fn while_it_lives<T>(&self, waited_for: impl Future<Output = T>) -> anyhow::Result<T> {
        let mut waited_for = std::pin::pin!(waited_for);
        loop {
            if let Ok(done) = timeout(PATIENCE, &mut waited_for).await {
                return Ok(done);
            }
            self.find().await?;
        }
    }
}

/// The next piece of a body; none after the last.
async fn next_piece(
    body: &mut Incoming,
    longest_pause: Duration,
) -> anyhow::Result<Option<hyper::body::Bytes>> {
    loop {
        let frame = timeout(longest_pause, body.frame()).await;
        let frame = frame.with_context(|| {
            let seconds = longest_pause.as_secs();
            format!("the server has sent nothing for {seconds} s, and not yet all")
        })?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let frame = frame.context("the server broke off; its log says why")?;
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}

fn id_in(response: &Response<Incoming>) -> Option<Uuid> {
    let id = response.headers().get(instance::HEADER)?;
    Uuid::parse_str(id.to_str().ok()?).ok()
}

/// Whether an answer has this content type, with whatever parameters.
pub(super) fn is_of_kind<T>(response: &Response<T>, kind: &str) -> bool {
    let found = response.headers().get(header::CONTENT_TYPE);
    let found = found.and_then(|found| found.to_str().ok());
    let found = found.and_then(|found| found.split(';').next());
    found.is_some_and(|found| found.trim().eq_ignore_ascii_case(kind))
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
    let error: Option<serde_json::Value> = json::from_js(text.as_bytes()).ok();
    let details = error
        .as_ref()
        .and_then(|error| error["error"]["details"].as_str());
    details.map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const BEGINNING: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";

    #[tokio::test]
    async fn a_server_that_stops_in_the_midst_of_its_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connection = Connection::open(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let answering = async {
            let mut request = [0; 512];
            assert!(server.read(&mut request).await.unwrap() > 0);
            server.write_all(BEGINNING).await.unwrap();
        };
        let (response, ()) = tokio::join!(connection.get("/", None), answering);
        let mut body = response.unwrap().into_body();
        let pause = Duration::from_millis(50);
        let piece = next_piece(&mut body, pause).await.unwrap();
        assert_eq!(piece.as_deref(), Some(&b"half"[..]));
        let started = Instant::now();
        let error = next_piece(&mut body, pause).await.unwrap_err();
        assert!(error.to_string().contains("not yet all"), "{error}");
        assert!(started.elapsed() < LONGEST_PAUSE);

        drop(server);
        let error = next_piece(&mut body, pause).await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }

    #[test]
    fn a_content_type_is_known_with_its_parameters() {
        for (found, is_known) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html", false),
            ("application/json5", false),
        ] {
            let response = Response::builder().header(header::CONTENT_TYPE, found);
            let response = response.body(()).unwrap();
            assert_eq!(
                is_of_kind(&response, "application/json"),
                is_known,
                "{found}"
            );
        }
        assert!(!is_of_kind(&Response::new(()), "application/json"));
    }
}
