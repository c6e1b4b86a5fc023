//! The state that the handlers share.

use std::sync::Arc;

use super::precompressed::Precompressed;
use crate::app::App;

#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) app: Arc<App>,
    /// The `OpenAPI` description of this router, as JSON text.
    pub(super) openapi: Arc<Precompressed>,
}
