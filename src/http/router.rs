//! The whole API on one page.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::openapi;
use super::routes::{agents, console, events, health, messages, metrics, sessions};
use crate::app::App;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) app: Arc<App>,
}

pub(super) fn router(state: ApiState) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(health::sessions))
        .routes(routes!(sessions::show, sessions::delete))
        .routes(routes!(messages::list, messages::send))
        .routes(routes!(sessions::renew))
        .routes(routes!(sessions::patch_timeout))
        .routes(routes!(sessions::heartbeat))
        .routes(routes!(events::follow))
        .routes(routes!(messages::transcript))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show))
        .routes(routes!(metrics::show))
        .routes(routes!(health::alive))
        .routes(routes!(health::overall))
        .routes(routes!(console::page))
        .routes(routes!(console::docs))
        .split_for_parts();
    let description = openapi::handler(openapi::finish(document));
    router
        .route("/openapi.json", get(description))
        .route("/console/{file}", get(console::file))
        .fallback(unknown)
        .with_state(state)
}

async fn unknown(request: Request) -> ApiError {
    ApiError::not_found(request.method(), request.uri().path())
}
