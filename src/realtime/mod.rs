//! The API over Socket.IO, for clients of version 4.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod inbox;
mod payload;
mod socket;

use std::sync::Arc;

use axum::Router;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};

use self::inbox::Inbox;
use self::payload::Handshake;
use crate::app::App;
use crate::guard::identity::{Credentials, Unauthorized};
use crate::guard::{AUDIT, Guard, Visitor};

/// The largest message of a client, and the largest poll, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;

/// How many packets may wait for a slow client before it is given up.
const MAX_WAITING: usize = 2048;

/// How many binary attachments an event may have; none of ours has any.
const MAX_BINARIES: usize = 16;

/// The path of Socket.IO's requests.
pub const PATH: &str = "/socket.io";

/// The Socket.IO server.
#[derive(Clone)]
pub struct Realtime {
    service: SocketIoService<Router>,
    io: SocketIo,
}

impl std::fmt::Debug for Realtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Realtime").finish_non_exhaustive()
    }
}

/// Why a socket is not connected; the client is told.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refused {
    #[error("Credentials are missing or wrong")]
    Credentials,
    #[error("auth.entityId must be a UUID")]
    EntityId,
}

impl Realtime {
    /// A server that speaks for an app to those whom the guard knows.
    #[must_use]
    pub fn new(app: &Arc<App>, guard: Arc<Guard>) -> Self {
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .max_payload(MAX_MESSAGE as u64)
            .ws_max_message_size(MAX_MESSAGE)
            .ws_max_frame_size(MAX_MESSAGE)
            .max_buffer_size(MAX_WAITING)
            .with_parser(
                ParserConfig::common()
                    .max_incoming_binaries(MAX_BINARIES)
                    .max_incoming_binary_buf_size(MAX_MESSAGE),
            )
            .build_with_inner_svc(Router::new());
        let admit = move |socket: SocketRef, TryData(auth): TryData<serde_json::Value>| {
            let admitted = admit(&socket, auth.unwrap_or_default(), &guard);
            async move { admitted }
        };
        let app = Arc::clone(app);
        let connected = move |socket: SocketRef| async move {
            if let Some(inbox) = socket.extensions.remove::<Inbox>() {
                socket::run(app, socket, inbox).await;
            }
        };
        io.ns("/", connected.with(admit));
        Self { service, io }
    }

    /// What answers the requests of Engine.IO.
    pub fn router(&self) -> Router {
        Router::new().fallback_service(self.service.clone())
    }

    /// Closes every socket.
    pub async fn close(&self) {
        self.io.close().await;
    }
}

/// Runs before the client learns that it is connected, so that nothing it sends can come too
/// early for the handlers.
fn admit(socket: &SocketRef, auth: serde_json::Value, guard: &Guard) -> Result<(), Refused> {
    let handshake = Handshake::from(auth);
    let request = socket.req_parts();
    // Whoever stands before the sockets has noted where they come from.
    let Some(visitor) = request.extensions.get::<Visitor>() else {
        return Err(Refused::Credentials);
    };
    let credentials = Credentials::of_headers(&request.headers)
        .or_rather(handshake.api_key.as_deref(), handshake.token.as_deref());
    let caller = guard
        .identify(&credentials)
        .map_err(|reason| refused(visitor, reason))?;
    let entity_id = handshake.entity_id().map_err(|()| Refused::EntityId)?;
    let visitor = Visitor { caller, ..*visitor };
    socket
        .extensions
        .insert(Inbox::open(socket, visitor, entity_id));
    Ok(())
}

fn refused(visitor: &Visitor, reason: Unauthorized) -> Refused {
    let address = visitor.address;
    tracing::info!(target: AUDIT, who = "unknown", %reason, %address, route = PATH, "audit");
    Refused::Credentials
}
