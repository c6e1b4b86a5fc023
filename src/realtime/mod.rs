//! The API over Socket.IO, for clients of version 4.

mod budgets;
mod engine_io;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hub;
mod packet;
mod packet_cache;
mod payload;
mod peer;
mod session;
mod socket;
mod socket_stream;

use std::sync::Arc;

use axum::Router;
use engineioxide::config::EngineIoConfig;
use engineioxide::service::EngineIoService;

pub use self::budgets::MAX_MESSAGE;
use self::engine_io::EngineIo;
use self::hub::Hub;
pub use self::packet::PATH;
use crate::app::App;
use crate::auth::Authenticator;
use crate::connections::Connections;

/// How many packets may wait for a slow client before it is disconnected.
const MAX_WAITING_PACKETS: usize = 2048;

/// The Socket.IO server.
#[derive(Debug, Clone)]
pub struct Realtime(EngineIo);

impl Realtime {
    /// Creates a server that admits the clients which `authenticator` accepts, within the limits of
    /// `connections`.
    #[must_use]
    pub(crate) fn new(
        app: &Arc<App>,
        authenticator: Arc<Authenticator>,
        connections: Arc<Connections>,
    ) -> Self {
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .max_payload(MAX_MESSAGE as u64)
            .ws_max_message_size(MAX_MESSAGE)
            .ws_max_frame_size(MAX_MESSAGE)
            .max_buffer_size(MAX_WAITING_PACKETS)
            .build();
        let hub = Arc::new(Hub::new(app, authenticator));
        Self(EngineIo {
            engine: EngineIoService::with_config(Arc::clone(&hub), config),
            hub,
            connections,
        })
    }

    /// Returns the router of Engine.IO requests.
    pub fn router(&self) -> Router {
        self.0.clone().router()
    }

    /// Closes every socket.
    pub fn close(&self) {
        self.0.hub.close();
    }
}
