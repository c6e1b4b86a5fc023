//! Searching messages.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::FoundMessageList;
use crate::api::dto::requests::SearchMessagesRequest;
use crate::api::error::ApiError;
use crate::api::extract::ApiJson;
use crate::api::openapi::examples;
use crate::api::openapi::responses::{AnySessionErrors, BodyErrors, StorageErrors};
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::app::Scope;
use crate::auth::ClientContext;

/// Search messages
///
/// Of active and retained sessions. For administrators; users search their own sessions. A call
/// searches for at most 250 ms: a page may be short or empty, and the next one continues where it
/// stopped. What was stored before the first page and not erased since is returned exactly once,
/// what is stored meanwhile at most once.
#[utoipa::path(
    post,
    path = "/api/messaging/messages/search",
    operation_id = "searchMessages",
    tag = "messages",
    request_body(content = SearchMessagesRequest, example = json!({
        "query": "hello", "from": "2024-01-15T00:00:00Z", "limit": 20,
    })),
    responses(
        (
            status = 200,
            description = "A page of messages",
            body = FoundMessageList<'_>,
            examples(
                ("last" = (value = json!(examples::found_messages(false)))),
                ("page" = (value = json!(examples::found_messages(true)))),
            ),
        ),
        BodyErrors,
        AnySessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn messages(
    State(state): State<ApiState>,
    Extension(client): Extension<ClientContext>,
    ApiJson(body): ApiJson<SearchMessagesRequest>,
) -> Result<Response, ApiError> {
    let own = client.principal.user();
    let search = body.validate(own)?;
    let (scope, filter) = (Scope::for_user(own), search.filter.clone());
    if filter.user.is_some_and(|user| !scope.includes(user)) {
        return Err(ApiError::forbidden("userId must match the token's sub"));
    }
    let found = state.app.search_messages(search, scope).await?;
    Ok(json(
        StatusCode::OK,
        &FoundMessageList::new(&found, &filter),
    ))
}
