//! Every route of the API, with its access rule.

use axum::routing::get;
use utoipa_axum::routes;

use super::access::ProtectedRouter;
use super::handlers::import::IMPORT_LIMIT;
use super::handlers::{
    admin, agent_states, agents, by_user, cancel, console, events, health, identity, import,
    messages, metrics, metrics_history, openapi, search, sessions, settings, submit,
    update_session, work,
};
use super::openapi::description;
use crate::auth::access::Access::{Admin, Agent, Authenticated, Public, SessionList};

/// Returns every route. A new endpoint is a handler with its `#[utoipa::path]`, and a line here.
pub(super) fn routes() -> ProtectedRouter {
    ProtectedRouter::new(description())
        .routes(SessionList, routes!(sessions::list))
        .routes(SessionList, routes!(by_user::erase))
        .routes(Authenticated, routes!(sessions::create))
        .routes(Authenticated, routes!(health::sessions))
        .routes(Authenticated, routes!(sessions::show))
        .routes(Authenticated, routes!(sessions::delete))
        .routes(Authenticated, routes!(update_session::update))
        .routes(Authenticated, routes!(messages::list))
        .routes(Authenticated, routes!(messages::send))
        .routes(Authenticated, routes!(messages::stream))
        .routes(Authenticated, routes!(sessions::renew))
        .routes(Authenticated, routes!(sessions::patch_timeout))
        .routes(Authenticated, routes!(sessions::heartbeat))
        .routes(Authenticated, routes!(cancel::cancel))
        .routes(Authenticated, routes!(events::stream))
        .routes(SessionList, routes!(messages::transcript))
        .routes(SessionList, routes!(search::messages))
        .routes(Agent, routes!(submit::submit))
        .routes(Authenticated, routes!(identity::me))
        .routes(Authenticated, routes!(agents::list))
        .routes(Authenticated, routes!(agents::show))
        .routes(Agent, routes!(work::list))
        .routes(Agent, routes!(work::stream))
        .routes(Admin, routes!(metrics::show))
        .page("/", get(console::file))
        .page("/docs", get(console::file))
        .page("/console/{file}", get(console::file))
        .page("/client.js", get(console::file))
        .page("/client.d.ts", get(console::file))
        .page("/chat-transport.js", get(console::file))
        .page("/chat-transport.d.ts", get(console::file))
        .page("/openapi.json", get(openapi::show))
        .routes(Admin, routes!(admin::backup))
        .routes(Admin, routes!(admin::export))
        .routes_with_limit(Admin, IMPORT_LIMIT, routes!(import::import))
        .routes(Admin, routes!(admin::storage))
        .routes(Admin, routes!(admin::verify))
        .routes(Admin, routes!(admin::log))
        .routes(Admin, routes!(agent_states::list))
        .routes(Admin, routes!(agent_states::probe))
        .routes(Admin, routes!(settings::show))
        .routes(Admin, routes!(metrics_history::show))
        .routes(Public, routes!(health::alive))
        .routes(Public, routes!(health::overall))
}
