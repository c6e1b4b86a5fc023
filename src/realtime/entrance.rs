//! What stands before Engine.IO: it counts sessions, upgrades connections, and hands on of each
//! request no more than Engine.IO needs, which keeps the head of a session's first one.

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

use super::PATH;
use super::hub::Hub;
use super::session::{NotUpgraded, Origin, Session};
use super::stream::SocketStream;
use crate::auth::ClientContext;
use crate::auth::identity::Credentials;
use crate::connections::{Connection, Connections};

/// After how many seconds a client that finds no room may try again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The longest value of a parameter that is handed on, in bytes. Those that there are, are shorter.
const MAX_PARAMETER: usize = 64;

type Engine = EngineIoService<Hub, NotFoundService>;

/// Where requests of Engine.IO come in.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    engine: Engine,
    hub: Arc<Hub>,
    connections: Arc<Connections>,
}

/// What Engine.IO reads of a request's target.
#[derive(Debug, Default)]
struct Parameters<'a> {
    version: Option<&'a str>,
    transport: Option<&'a str>,
    session: Option<&'a str>,
}

/// What a request is about.
#[derive(Debug)]
enum Purpose {
    /// To begin a session by polling.
    Handshake,
    /// To begin a session by WebSocket.
    Socket,
    /// To go on with a session by WebSocket.
    Upgrade(Sid),
    /// To poll.
    Poll(Sid),
    /// To send, or anything that Engine.IO refuses.
    Other,
}

/// Why a request is refused, in the form of Engine.IO.
#[derive(Debug, Clone, Copy)]
enum Refused {
    /// There are too many connections.
    TooManyConnections,
    /// There is no such session.
    UnknownSession,
    /// It is no proper upgrade.
    BadRequest,
}

impl Entrance {
    pub(super) fn new(engine: Engine, hub: Arc<Hub>, connections: Arc<Connections>) -> Self {
        Self {
            engine,
            hub,
            connections,
        }
    }

    pub(super) fn router(self) -> Router {
        Router::new().fallback(answer).with_state(self)
    }

    async fn answer(mut self, request: Request) -> Result<Response, Refused> {
        let (parts, body) = request.into_parts();
        let parameters = Parameters::of(&parts.uri);
        let purpose = parameters.purpose(&parts.method);
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parameters.target();
        match purpose {
            Purpose::Handshake => {
                let session = self.handshake(&parts).await?;
                request.extensions_mut().insert(session);
                Ok(self.ask(request).await)
            }
            Purpose::Socket => self.open_socket(parts, request),
            Purpose::Upgrade(sid) => self.upgrade(sid, parts, request),
            Purpose::Poll(sid) => {
                let session = self.hub.session(sid);
                let response = self.ask(request).await;
                if let Some(session) = session
                    && response.status().is_success()
                {
                    let taken = response.body().size_hint().lower();
                    session
                        .outbox
                        .sent(usize::try_from(taken).unwrap_or(usize::MAX));
                }
                Ok(response)
            }
            Purpose::Other => Ok(self.ask(request).await),
        }
    }

    async fn ask(&mut self, request: Request) -> Response {
        // It is always ready.
        match Service::<Request>::call(&mut self.engine, request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }

    async fn handshake(&self, parts: &Parts) -> Result<Arc<Session>, Refused> {
        let origin = self.origin(parts)?;
        let guard = self.connections.admit_handshake(origin.address).await;
        let guard = guard.map_err(|_| Refused::TooManyConnections)?;
        Ok(Session::by_polling(origin, &self.connections, guard))
    }

    fn open_socket(self, parts: Parts, head: Request) -> Result<Response, Refused> {
        let connection = connection(&parts)?;
        let origin = self.origin(&parts)?;
        let accept = accept_key(&parts)?;
        self.connections
            .upgrade(&connection, origin.address, true)
            .map_err(|_| Refused::TooManyConnections)?;
        let session = Session::by_socket(origin, &self.connections, &connection);
        self.switch(parts, head, accept, connection, session)
    }

    fn upgrade(self, sid: Sid, parts: Parts, head: Request) -> Result<Response, Refused> {
        let connection = connection(&parts)?;
        let accept = accept_key(&parts)?;
        let session = self.hub.session(sid).ok_or(Refused::UnknownSession)?;
        session.upgrade(&connection).map_err(|error| match error {
            NotUpgraded::AlreadyUpgraded => Refused::BadRequest,
            NotUpgraded::TooManyConnections => Refused::TooManyConnections,
        })?;
        self.switch(parts, head, accept, connection, session)
    }

    /// Answers an upgrade, and hands the connection to Engine.IO as soon as that is sent.
    fn switch(
        mut self,
        mut parts: Parts,
        head: Request,
        accept: HeaderValue,
        connection: Arc<Connection>,
        session: Arc<Session>,
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
            // The target was read before, so it is not refused now.
            let _ = Service::call(&mut self.engine, (stream, head)).await;
        });
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
    }

    fn origin(&self, parts: &Parts) -> Result<Origin, Refused> {
        // Whoever stands before the sockets has noted where they come from.
        let visitor = parts.extensions.get::<ClientContext>();
        Ok(Origin {
            address: visitor
                .and_then(|visitor| visitor.address)
                .ok_or(Refused::BadRequest)?,
            by_headers: self.hub.identify(&Credentials::of_headers(&parts.headers)),
            outbox: self.hub.shared.outbox(),
            incoming: self.hub.shared.incoming(super::MAX_MESSAGE),
        })
    }
}

impl<'a> Parameters<'a> {
    fn of(target: &'a Uri) -> Self {
        let mut parameters = Self::default();
        let query = target.query().unwrap_or_default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let place = match name {
                "EIO" => &mut parameters.version,
                "transport" => &mut parameters.transport,
                "sid" => &mut parameters.session,
                _ => continue,
            };
            if value.len() <= MAX_PARAMETER {
                place.get_or_insert(value);
            } else {
                place.get_or_insert("too-long");
            }
        }
        parameters
    }

    /// The target with nothing but these.
    fn target(&self) -> Uri {
        let named = [
            ("EIO", self.version),
            ("transport", self.transport),
            ("sid", self.session),
        ];
        let pairs = named
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
        let target = format!("{PATH}/?{}", pairs.collect::<Vec<_>>().join("&"));
        // Parts of a valid target make one.
        target.parse().unwrap_or_else(|_| Uri::from_static(PATH))
    }

    /// What Engine.IO will do with a request; what it will refuse is left to it.
    fn purpose(&self, method: &Method) -> Purpose {
        if *method != Method::GET || self.version != Some("4") {
            return Purpose::Other;
        }
        let session = self.session.map(str::parse);
        match (self.transport, session) {
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
        let (status, body) = match self {
            Self::TooManyConnections => {
                let body = r#"{"code":"4","message":"Too many connections; try again later"}"#;
                (StatusCode::SERVICE_UNAVAILABLE, body)
            }
            Self::UnknownSession => (
                StatusCode::BAD_REQUEST,
                r#"{"code":"1","message":"Session ID unknown"}"#,
            ),
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                r#"{"code":"3","message":"Bad request"}"#,
            ),
        };
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (status, json, body).into_response();
        if matches!(self, Self::TooManyConnections) {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

async fn answer(State(entrance): State<Entrance>, request: Request) -> Response {
    entrance
        .answer(request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

fn connection(parts: &Parts) -> Result<Arc<Connection>, Refused> {
    let connection = parts.extensions.get::<Arc<Connection>>();
    connection.cloned().ok_or(Refused::BadRequest)
}

/// What the answer to an upgrade says (RFC 6455, 4.2.2), where the request is a proper one.
fn accept_key(parts: &Parts) -> Result<HeaderValue, Refused> {
    let is = |name, expected: &[u8]| {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes);
        value.is_some_and(|value| value.eq_ignore_ascii_case(expected))
    };
    let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
    if parts.extensions.get::<OnUpgrade>().is_none() {
        return Err(Refused::BadRequest);
    }
    if !is(header::UPGRADE, b"websocket") || !is(header::SEC_WEBSOCKET_VERSION, b"13") {
        return Err(Refused::BadRequest);
    }
    let accept = derive_accept_key(key.ok_or(Refused::BadRequest)?.as_bytes());
    accept.parse().map_err(|_| Refused::BadRequest)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn target(text: &str) -> String {
        Parameters::of(&text.parse().unwrap()).target().to_string()
    }

    #[test]
    fn nothing_of_a_target_is_handed_on_but_what_engine_io_reads() {
        let long = "x".repeat(60_000);
        for (sent, handed_on) in [
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
            assert_eq!(target(&sent), handed_on);
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
    fn a_request_is_taken_for_what_engine_io_takes_it_for(
        #[case] query: &str,
        #[case] purpose: &str,
    ) {
        let target = format!("/socket.io/?{query}").parse().unwrap();
        let found = Parameters::of(&target).purpose(&Method::GET);
        assert!(format!("{found:?}").starts_with(purpose), "{found:?}");
        let posted = Parameters::of(&target).purpose(&Method::POST);
        assert!(matches!(posted, Purpose::Other));
    }
}
