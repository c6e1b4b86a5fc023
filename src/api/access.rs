//! A router in which every route has an access rule, which is checked before the handler runs and
//! is part of the `OpenAPI` description.

use std::time::Duration;

use axum::body::Body;
use axum::http::{self, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tower::ServiceBuilder;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;
use tower_http::validate_request::{ValidateRequest, ValidateRequestHeaderLayer};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, Ref};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::authentication::Authentication;
use super::error::ApiError;
use super::state::ApiState;
use crate::app::error::AppError;
use crate::auth::access::Access;
use crate::auth::identity::Principal;
use crate::domain::id::UserId;

/// The limit of most bodies.
pub(super) const BODY_LIMIT: BodyLimit = BodyLimit::new(2 * 1024 * 1024);

/// The longest body of a route, and the error of a longer one.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit {
    pub(super) bytes: usize,
    pub(super) too_large: fn(usize) -> ApiError,
}

impl BodyLimit {
    /// Returns a limit of this many bytes.
    pub(super) const fn new(bytes: usize) -> Self {
        Self {
            bytes,
            too_large: ApiError::payload_too_large,
        }
    }

    pub(super) fn error(self) -> ApiError {
        (self.too_large)(self.bytes)
    }
}

/// How long the body of a request may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A route with its access rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with the names of its parameters in braces.
    pub path: String,
    /// Who may call it.
    pub access: Access,
}

/// Routes with their access rules and their description.
pub(super) struct ProtectedRouter {
    pub(super) router: OpenApiRouter<ApiState>,
    pub(super) endpoints: Vec<Endpoint>,
}

impl ProtectedRouter {
    /// Returns a router without routes, whose description starts as `openapi`.
    pub(super) fn new(openapi: OpenApi) -> Self {
        Self {
            router: OpenApiRouter::with_openapi(openapi),
            endpoints: Vec::new(),
        }
    }

    /// Adds the result of `routes!`.
    pub(super) fn routes(self, access: Access, routes: UtoipaMethodRouter<ApiState>) -> Self {
        self.routes_with_limit(access, BODY_LIMIT, routes)
    }

    /// Adds the result of `routes!`, with another limit of the bodies.
    pub(super) fn routes_with_limit(
        mut self,
        access: Access,
        limit: BodyLimit,
        (schemas, mut paths, mut methods): UtoipaMethodRouter<ApiState>,
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
        if takes_body {
            methods = limit_body(limit, methods);
        }
        let methods = protect(access, methods);
        self.router = self.router.routes((schemas, paths, methods));
        self
    }

    /// Adds a page or one of its files. It is public and not described.
    pub(super) fn page(mut self, path: &str, methods: MethodRouter<ApiState>) -> Self {
        let access = Access::Public;
        self.endpoints.push(Endpoint {
            method: Method::GET,
            path: path.to_owned(),
            access,
        });
        self.router = self.router.route(path, protect(access, methods));
        self
    }
}

pub(super) fn protect<S: Clone + Send + Sync + 'static>(
    access: Access,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods.layer(
        ServiceBuilder::new()
            .layer(ValidateRequestHeaderLayer::custom(Rule(access)))
            .map_response(move |response| mark(access, response)),
    )
}

/// Limits the length of a request's body, and its time to [`BODY_TIMEOUT`].
pub(super) fn limit_body<S: Clone + Send + Sync + 'static>(
    limit: BodyLimit,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods.layer(
        ServiceBuilder::new()
            .map_response(move |response: http::Response<_>| {
                explain_limit(response.map(Body::new), limit)
            })
            .layer(RequestBodyDeadlineLayer::new(BODY_TIMEOUT))
            .layer(RequestBodyLimitLayer::new(limit.bytes)),
    )
}

#[derive(Debug, Clone, Copy)]
struct Rule(Access);

impl<B> ValidateRequest<B> for Rule {
    type ResponseBody = Body;

    /// Adds the client to a permitted request, as an extension.
    fn validate(&mut self, request: &mut http::Request<B>) -> Result<(), Response> {
        let Self(access) = *self;
        let authentication = request.extensions().get::<Authentication>();
        let denied = match authentication.map(|it| it.admit(access)) {
            Some(Ok(client)) => {
                request.extensions_mut().insert(client);
                return Ok(());
            }
            Some(Err(denied)) => *denied,
            None => AppError::Internal.into(),
        };
        Err(mark(access, denied.into_response()))
    }
}

/// Adds the rule to a response, for the audit.
fn mark(access: Access, mut response: Response) -> Response {
    response.extensions_mut().insert(access);
    response
}

/// Gives the response of the body limit, which acts on `Content-Length`, the form of an error.
fn explain_limit(response: Response, limit: BodyLimit) -> Response {
    let is_limit = response.status() == StatusCode::PAYLOAD_TOO_LARGE
        && response.extensions().get::<ApiError>().is_none();
    if is_limit {
        return limit.error().into_response();
    }
    response
}

/// Describes the rule, with the errors of clients that it denies.
fn describe(operation: &mut Operation, access: Access) {
    let responses = &mut operation.responses.responses;
    let mut add = |status: &str, name| {
        let response = Ref::from_response_name(name).into();
        responses.insert(status.to_owned(), response);
    };
    add("403", "Forbidden");
    operation.extensions = roles(access).map(|roles| Extensions::from_iter([("x-roles", roles)]));
    if access == Access::Public {
        operation.security = Some(Vec::new());
    } else {
        add("401", "Unauthorized");
    }
}

/// Returns the roles that may call, or `None` if every role may. Servers without an admin token
/// treat the role `server` as `admin`.
fn roles(access: Access) -> Option<Vec<&'static str>> {
    let all = [
        ("admin", Principal::Admin),
        ("server", Principal::Server),
        ("user", Principal::User(UserId::from(0))),
    ];
    let permitted = all.iter().filter(|(_, role)| access.permits(*role, true));
    let permitted: Vec<_> = permitted.map(|(name, _)| *name).collect();
    (permitted.len() < all.len()).then_some(permitted)
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
