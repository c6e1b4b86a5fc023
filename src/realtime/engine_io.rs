//! The HTTP requests of Engine.IO: limits sessions, upgrades connections, and passes to the library
//! only what it reads of a request, since it keeps the head of a session's first one.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use engineioxide::service::{EngineIoService, NotFoundService};
use engineioxide::socket::Sid;
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tower::Service;

use super::hub::Hub;
use super::packet::PATH;
use super::session::{Client, EngineSession, Refused};
use super::socket_stream::SocketStream;
use crate::auth::ClientContext;
use crate::auth::identity::Credentials;
use crate::connections::{Connection, Connections};

/// The longest value of a parameter that is passed on, in bytes. Valid ones are shorter.
const MAX_PARAMETER: usize = 64;

/// The header of the responses that this file makes itself.
const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

/// The service of Engine.IO requests.
#[derive(Debug, Clone)]
pub(super) struct EngineIo {
    pub(super) engine: EngineIoService<Hub, NotFoundService>,
    pub(super) hub: Arc<Hub>,
    pub(super) connections: Arc<Connections>,
}

/// The query parameters that Engine.IO reads: its version, the transport and the session's id.
const PARAMETERS: [&str; 3] = ["EIO", "transport", "sid"];

/// The values of [`PARAMETERS`].
struct Parameters<'a>([Option<&'a str>; 3]);

/// What Engine.IO will do with a request.
#[derive(Debug)]
enum Purpose {
    /// Start a session by polling.
    Handshake,
    /// Start a session by WebSocket.
    Socket,
    /// Continue a session by WebSocket.
    Upgrade(Sid),
    Poll(Sid),
    /// Receive messages, or refuse the request.
    Other,
}

impl EngineIo {
    pub(super) fn router(self) -> Router {
        let answer = |State(this): State<Self>, request| this.answer(request);
        Router::new().fallback(answer).with_state(self)
    }

    async fn answer(mut self, request: Request) -> Result<Response, Refused> {
        let (parts, body) = request.into_parts();
        let parameters = Parameters::parse(&parts.uri);
        let purpose = parameters.purpose(&parts.method);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parameters.target();
        match purpose {
            Purpose::Handshake => {
                let session = self.handshake(&parts).await?;
                request.extensions_mut().insert(session);
                Ok(self.call(request).await)
            }
            Purpose::Socket => self.open_socket(parts, request),
            Purpose::Upgrade(sid) => self.upgrade(sid, parts, request),
            Purpose::Poll(sid) => {
                let session = self.hub.session(sid);
                let response = self.call(request).await;
                if let Some(session) = session
                    && response.status().is_success()
                {
                    let read = usize::try_from(response.body().size_hint().lower());
                    session.client.outbox.sent(read.unwrap_or(usize::MAX));
                }
                Ok(response)
            }
            Purpose::Other => Ok(self.call(request).await),
        }
    }

    async fn call(&mut self, request: Request) -> Response {
        // The service is always ready.
        let Ok(response) = Service::<Request>::call(&mut self.engine, request).await;
        response.map(Body::new)
    }

    async fn handshake(&self, parts: &Parts) -> Result<Arc<EngineSession>, Refused> {
        let client = self.client(parts)?;
        let guard = self.connections.admit_handshake(client.address).await;
        let guard = guard.map_err(|_| Refused::TooManyConnections)?;
        let connection = Arc::clone(guard.connection());
        Ok(EngineSession::new(
            client,
            &self.connections,
            &connection,
            Some(guard),
        ))
    }

    fn open_socket(self, parts: Parts, head: Request) -> Result<Response, Refused> {
        let connection = connection(&parts)?;
        let client = self.client(&parts)?;
        let accept = accept_key(&parts)?;
        self.connections
            .upgrade(&connection, client.address, true)
            .map_err(|_| Refused::TooManyConnections)?;
        let session = EngineSession::new(client, &self.connections, &connection, None);
        self.switch(parts, head, accept, connection, session)
    }

    fn upgrade(self, sid: Sid, parts: Parts, head: Request) -> Result<Response, Refused> {
        let connection = connection(&parts)?;
        let accept = accept_key(&parts)?;
        let session = self.hub.session(sid).ok_or(Refused::UnknownSession)?;
        session.upgrade(&connection)?;
        self.switch(parts, head, accept, connection, session)
    }

    /// Answers an upgrade, and hands the connection to Engine.IO once the answer is sent.
    fn switch(
        mut self,
        mut parts: Parts,
        head: Request,
        accept: HeaderValue,
        connection: Arc<Connection>,
        session: Arc<EngineSession>,
    ) -> Result<Response, Refused> {
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or(Refused::BadRequest)?;
        let mut head = head.map(drop);
        head.extensions_mut().insert(Arc::clone(&session));
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else {
                return session.end();
            };
            let stream = SocketStream::new(TokioIo::new(upgraded), &connection, session);
            // The target was parsed before, so it is not refused now.
            let _ = Service::call(&mut self.engine, (stream, head)).await;
        });
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
    }

    fn client(&self, parts: &Parts) -> Result<Client, Refused> {
        // A layer in front of this service has added the client's address.
        let context = parts.extensions.get::<ClientContext>();
        let credentials = Credentials::from_headers(&parts.headers);
        let address = context.and_then(|context| context.address);
        Ok(Client {
            address: address.ok_or(Refused::BadRequest)?,
            by_headers: self.hub.authenticator.identify(&credentials),
            outbox: self.hub.budgets.outbox(),
            inbox: self.hub.budgets.inbox(),
        })
    }
}

impl<'a> Parameters<'a> {
    fn parse(target: &'a Uri) -> Self {
        let query = target.query().unwrap_or_default();
        let value = |name| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(found, _)| *found == name)?;
            Some(if value.len() <= MAX_PARAMETER {
                value
            } else {
                "too-long"
            })
        };
        Self(PARAMETERS.map(value))
    }

    /// Returns the target with only these parameters.
    fn target(&self) -> Uri {
        let named = PARAMETERS.iter().zip(self.0);
        let pairs = named.filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let target = format!("{PATH}/?{}", pairs.collect::<Vec<_>>().join("&"));
        // Parts of a valid target make a valid one.
        target.parse().unwrap_or_else(|_| Uri::from_static(PATH))
    }

    fn purpose(&self, method: &Method) -> Purpose {
        let [version, transport, session] = self.0;
        if *method != Method::GET || version != Some("4") {
            return Purpose::Other;
        }
        match (transport, session.map(str::parse)) {
            (Some("polling"), None) => Purpose::Handshake,
            (Some("polling"), Some(Ok(sid))) => Purpose::Poll(sid),
            (Some("websocket"), None) => Purpose::Socket,
            (Some("websocket"), Some(Ok(sid))) => Purpose::Upgrade(sid),
            _ => Purpose::Other,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::TooManyConnections => {
                let body = r#"{"code":"4","message":"Too many connections; try again later"}"#;
                let headers = [JSON, (header::RETRY_AFTER, "1")];
                (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response()
            }
            Self::UnknownSession => bad_request(r#"{"code":"1","message":"Session ID unknown"}"#),
            Self::BadRequest => bad_request(r#"{"code":"3","message":"Bad request"}"#),
        }
    }
}

fn bad_request(body: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, [JSON], body).into_response()
}

fn connection(parts: &Parts) -> Result<Arc<Connection>, Refused> {
    let connection = parts.extensions.get::<Arc<Connection>>();
    connection.cloned().ok_or(Refused::BadRequest)
}

/// Returns the `Sec-WebSocket-Accept` of a valid upgrade (RFC 6455, 4.2.2).
fn accept_key(parts: &Parts) -> Result<HeaderValue, Refused> {
    let is = |name, expected: &[u8]| {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes);
        value.is_some_and(|value| value.eq_ignore_ascii_case(expected))
    };
    let is_upgrade = parts.extensions.get::<OnUpgrade>().is_some()
        && is(header::UPGRADE, b"websocket")
        && is(header::SEC_WEBSOCKET_VERSION, b"13");
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|_| is_upgrade).ok_or(Refused::BadRequest)?;
    let accept = derive_accept_key(key.as_bytes());
    accept.parse().map_err(|_| Refused::BadRequest)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn target(text: &str) -> String {
        Parameters::parse(&text.parse().unwrap())
            .target()
            .to_string()
    }

    #[test]
    fn only_the_parameters_that_engine_io_reads_are_passed_on() {
        let long = "x".repeat(60_000);
        for (sent, passed_on) in [
            (
                "/socket.io/?EIO=4&transport=polling&t=abc".to_owned(),
                "/socket.io/?EIO=4&transport=polling",
            ),
            (
                format!("/socket.io/?a={long}&sid=AAAAAAAAAAAAAAAA&transport=websocket&EIO=4"),
                "/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA",
            ),
            (
                format!("/socket.io/?EIO=4&transport=polling&sid={long}"),
                "/socket.io/?EIO=4&transport=polling&sid=too-long",
            ),
            (format!("/socket.io/{long}"), "/socket.io/?"),
        ] {
            assert_eq!(target(&sent), passed_on);
        }
    }

    #[rstest]
    #[case::handshake("EIO=4&transport=polling", "Handshake")]
    #[case::socket("transport=websocket&EIO=4", "Socket")]
    #[case::poll("EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", "Poll")]
    #[case::upgrade("EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA", "Upgrade")]
    #[case::no_session("EIO=4&transport=polling&sid=", "Other")]
    #[case::older_version("EIO=3&transport=polling", "Other")]
    #[case::other_transport("EIO=4&transport=smoke", "Other")]
    #[case::nothing("", "Other")]
    fn the_purpose_of_a_request_is_the_one_that_engine_io_finds(
        #[case] query: &str,
        #[case] purpose: &str,
    ) {
        let target = format!("/socket.io/?{query}").parse().unwrap();
        let found = Parameters::parse(&target).purpose(&Method::GET);
        assert!(format!("{found:?}").starts_with(purpose), "{found:?}");
        let posted = Parameters::parse(&target).purpose(&Method::POST);
        assert!(matches!(posted, Purpose::Other));
    }
}
