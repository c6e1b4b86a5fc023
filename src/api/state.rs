//! What the handlers share.

use std::sync::Arc;

use super::coded::Coded;
use crate::app::App;

/// The state of the router.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    /// The use cases.
    pub(super) app: Arc<App>,
    /// The `OpenAPI` description of this router, as JSON text.
    pub(super) openapi: Arc<Coded>,
}
