//! A router on which every route has an access rule, which is checked before its handler runs and
//! stated in the `OpenAPI` description.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{self, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower::ServiceBuilder;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;
use tower_http::validate_request::{ValidateRequest, ValidateRequestHeaderLayer};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, Ref};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::authentication::Authentication;
use super::error::ApiError;
use super::state::ApiState;
use crate::auth::access::Access;

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
        let mut takes_body = false;
        for (path, item) in &mut paths.paths {
            for (method, operation) in operations(item) {
                takes_body |= operation.request_body.is_some();
                describe(operation, access);
                self.endpoints.push(Endpoint {
                    method,
                    path: path.clone(),
                    access,
                });
            }
        }
        let methods = if takes_body {
            limited(MAX_BODY, methods)
        } else {
            methods
        };
        let methods = protected(access, methods);
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// Adds a page, or a file of one: public, and not part of the API's description.
    pub(super) fn page(mut self, path: &str, methods: MethodRouter<ApiState>) -> Self {
        let access = Access::Public;
        self.endpoints.push(Endpoint {
            method: Method::GET,
            path: path.to_owned(),
            access,
        });
        self.router = self.router.route(path, protected(access, methods));
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

/// Adds the access rule.
pub(super) fn protected<S: Clone + Send + Sync + 'static>(
    access: Access,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods.layer(
        ServiceBuilder::new()
            .layer(ValidateRequestHeaderLayer::custom(Rule(access)))
            .map_response(move |response| marked(access, response)),
    )
}

/// Adds the limits of a request's body, at most `max_body` bytes.
pub(super) fn limited<S: Clone + Send + Sync + 'static>(
    max_body: usize,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods.layer(
        ServiceBuilder::new()
            .map_response(move |response: http::Response<_>| {
                with_explained_limit(response.map(Body::new), max_body)
            })
            .layer(RequestBodyDeadlineLayer::new(BODY_TIMEOUT))
            .layer(RequestBodyLimitLayer::new(max_body)),
    )
}

/// Who may use a route.
#[derive(Debug, Clone, Copy)]
struct Rule(Access);

impl<B> ValidateRequest<B> for Rule {
    type ResponseBody = Body;

    /// Notes the client of a request that may pass.
    fn validate(&mut self, request: &mut http::Request<B>) -> Result<(), Response> {
        let Self(access) = *self;
        let authentication = request.extensions().get::<Authentication>();
        let denied = match authentication.map(|it| it.admit(access)) {
            Some(Ok(client)) => {
                request.extensions_mut().insert(client);
                return Ok(());
            }
            Some(Err(denied)) => ApiError::from(denied),
            None => ApiError::internal(),
        };
        Err(marked(access, denied.into_response()))
    }
}

/// Notes the rule on a response, for the audit.
fn marked(access: Access, mut response: Response) -> Response {
    response.extensions_mut().insert(access);
    response
}

/// Puts the error form on the answer of the body's limit, which goes by the length that the head of
/// a request gives.
fn with_explained_limit(response: Response, max_body: usize) -> Response {
    let is_limit = response.status() == StatusCode::PAYLOAD_TOO_LARGE
        && response.extensions().get::<ApiError>().is_none();
    if is_limit {
        return ApiError::payload_too_large(max_body).into_response();
    }
    response
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
