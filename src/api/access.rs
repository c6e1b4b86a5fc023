//! A router on which every route has an access rule, which is checked before its handler runs and
//! stated in the `OpenAPI` description.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, Ref};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::authentication::Authentication;
use super::error::ApiError;
use super::state::ApiState;
use crate::guard::access::Access;

/// The largest body of a request, in bytes.
pub(super) const MAX_BODY: usize = 2 * 1024 * 1024;

/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A route, and who may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with the names of its parameters in braces.
    pub path: String,
    /// Who may call it.
    pub access: Access,
}

/// Routes with their access rules, and their description.
pub(super) struct ProtectedRouter {
    router: OpenApiRouter<ApiState>,
    endpoints: Vec<Endpoint>,
}

impl ProtectedRouter {
    /// Returns a router without routes, whose description begins with `openapi`.
    pub(super) fn new(openapi: OpenApi) -> Self {
        Self {
            router: OpenApiRouter::with_openapi(openapi),
            endpoints: Vec::new(),
        }
    }

    /// Adds what `routes!` makes of a handler.
    pub(super) fn routes(
        mut self,
        access: Access,
        (schemas, mut paths, methods): UtoipaMethodRouter<ApiState>,
    ) -> Self {
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                describe(operation, access);
                self.endpoints.push(Endpoint {
                    method,
                    path: path.clone(),
                    access,
                });
            }
        }
        let methods = protected(access, MAX_BODY, methods);
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// Adds a page, or a file of one: public, compressed, and not part of the API's description.
    pub(super) fn page(mut self, path: &str, methods: MethodRouter<ApiState>) -> Self {
        let access = Access::Public;
        self.endpoints.push(Endpoint {
            method: Method::GET,
            path: path.to_owned(),
            access,
        });
        let methods = methods.route_layer(CompressionLayer::new());
        self.router = self
            .router
            .route(path, protected(access, MAX_BODY, methods));
        self
    }

    /// Every route with its rule, in the order in which they were added.
    pub(super) fn into_endpoints(self) -> Vec<Endpoint> {
        self.endpoints
    }

    /// The router, and its description.
    pub(super) fn split(self) -> (Router<ApiState>, OpenApi) {
        self.router.split_for_parts()
    }
}

/// Adds the access rule, and behind it the limits of a request's body, at most `max_body` bytes.
pub(super) fn protected<S: Clone + Send + Sync + 'static>(
    access: Access,
    max_body: usize,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    let rule = move |request, next| async move {
        let response = require(access, request, next).await;
        if is_too_large(&response) {
            return ApiError::payload_too_large(max_body).into_response();
        }
        response
    };
    let limits = ServiceBuilder::new()
        .layer(from_fn(rule))
        .layer(RequestBodyDeadlineLayer::new(BODY_TIMEOUT))
        .layer(RequestBodyLimitLayer::new(max_body));
    methods.layer(limits)
}

/// Lets a request pass whose client may use the route.
async fn require(access: Access, mut request: Request, next: Next) -> Response {
    let authentication = request.extensions().get::<Authentication>();
    let mut response = match authentication.map(|it| it.admit(access)) {
        Some(Ok(client)) => {
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Some(Err(denied)) => ApiError::from(denied).into_response(),
        None => ApiError::internal().into_response(),
    };
    response.extensions_mut().insert(access);
    response
}

/// Whether the body's limit has answered, by the length that the request's head gives.
fn is_too_large(response: &Response) -> bool {
    response.status() == StatusCode::PAYLOAD_TOO_LARGE
        && response.extensions().get::<ApiError>().is_none()
}

/// States the rule in the description, with the errors of those who break it.
fn describe(operation: &mut Operation, access: Access) {
    let mut errors = vec![("403", "Forbidden")];
    if access == Access::Public {
        operation.security = Some(Vec::new());
    } else {
        errors.push(("401", "Unauthorized"));
    }
    for (status, name) in errors {
        let response = Ref::from_response_name(name).into();
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_owned(), response);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let operations = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    let operations = operations.into_iter();
    operations.filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
