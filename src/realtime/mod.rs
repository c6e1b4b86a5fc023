//! The API over Socket.IO, for clients of version 4.

mod encoded;
mod entrance;
mod flow;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hub;
mod packet;
mod payload;
mod session;
mod socket;
mod stream;

use std::sync::Arc;

use axum::Router;
use engineioxide::config::EngineIoConfig;
use engineioxide::service::EngineIoService;

use self::entrance::Entrance;
use self::hub::Hub;
use crate::app::App;
use crate::auth::Authenticator;
use crate::connections::Connections;

/// The largest message of a client, and the largest poll, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// How many packets may wait for a slow client before it is given up.
const MAX_WAITING: usize = 2048;

/// The path of Socket.IO's requests.
pub const PATH: &str = "/socket.io";

/// The Socket.IO server.
#[derive(Debug, Clone)]
pub struct Realtime {
    entrance: Entrance,
    hub: Arc<Hub>,
}

impl Realtime {
    /// A server that speaks for an app to those whom the guard knows, as many as may be connected.
    #[must_use]
    pub(crate) fn new(
        app: &Arc<App>,
        guard: Arc<Authenticator>,
        connections: Arc<Connections>,
    ) -> Self {
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .max_payload(MAX_MESSAGE as u64)
            .ws_max_message_size(MAX_MESSAGE)
            .ws_max_frame_size(MAX_MESSAGE)
            .max_buffer_size(MAX_WAITING)
            .build();
        let hub = Arc::new(Hub::new(app, guard));
        let engine = EngineIoService::with_config(Arc::clone(&hub), config);
        Self {
            entrance: Entrance::new(engine, Arc::clone(&hub), connections),
            hub,
        }
    }

    /// What answers the requests of Engine.IO.
    pub fn router(&self) -> Router {
        self.entrance.clone().router()
    }

    /// Closes every socket.
    pub fn close(&self) {
        self.hub.close();
    }
}
