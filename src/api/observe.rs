//! What is told of each request: to the metrics, to the log, and to the audit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Span;

use super::authentication::Authentication;
use crate::app::App;
use crate::auth::access::Access;
use crate::auth::identity::Principal;
use crate::metrics::UNANSWERED;
use crate::telemetry::AUDIT;
use crate::telemetry::shorten;

/// The route of a path that no route matches.
const UNKNOWN: &str = "unknown";

/// Counts, logs and audits a request once its answer is known, or its client has gone away.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let operation = Operation {
        method: request.method().clone(),
        path: shorten(request.uri().path()).into_owned(),
        route: route(&request),
        started: Instant::now(),
    };
    let authentication = request.extensions().get::<Authentication>().cloned();
    let guard = DisconnectGuard {
        armed: Some((app, operation)),
        span: Span::current(),
    };
    let response = next.run(request).await;
    if let Some((app, operation)) = guard.disarm() {
        operation.answered(&app, response.status());
        let access = response.extensions().get::<Access>().copied();
        if let Some(authentication) = authentication {
            operation.audit(&authentication, access, response.status());
        }
    }
    response
}

/// What a request asks for.
struct Operation {
    method: Method,
    path: String,
    /// The path with the names of its parameters: one of those that the server has.
    route: Option<MatchedPath>,
    started: Instant,
}

/// A request that has no answer yet. Dropped while armed, its client has gone away.
struct DisconnectGuard {
    armed: Option<(Arc<App>, Operation)>,
    /// That of the request: a drop happens outside of it.
    span: Span,
}

impl DisconnectGuard {
    fn disarm(mut self) -> Option<(Arc<App>, Operation)> {
        self.armed.take()
    }
}

impl Drop for DisconnectGuard {
    fn drop(&mut self) {
        let Some((app, operation)) = self.armed.take() else {
            return;
        };
        let _entered = self.span.enter();
        operation.count(&app, UNANSWERED);
        let (method, route, elapsed_ms) = operation.fields();
        tracing::debug!(%method, route, status = UNANSWERED, elapsed_ms, "the client went away");
    }
}

impl Operation {
    fn answered(&self, app: &App, status: StatusCode) {
        self.count(app, status.as_u16());
        let path = &*self.path;
        let (method, route, elapsed_ms) = self.fields();
        let status_code = status.as_u16();
        if status.is_server_error() {
            tracing::warn!(%method, route, path, status = status_code, elapsed_ms, "answered");
        } else {
            tracing::debug!(%method, route, path, status = status_code, elapsed_ms, "answered");
        }
    }

    /// Records each use of what is for admins, and each refusal.
    fn audit(&self, client: &Authentication, access: Option<Access>, status: StatusCode) {
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let principal = match access {
            Some(Access::Public) => Ok(Principal::Anonymous),
            _ => client.principal,
        };
        let is_admins = match principal {
            // Without credentials nobody can be named.
            Ok(Principal::Anonymous) | Err(_) => false,
            Ok(Principal::Admin) => true,
            Ok(_) => access.is_some_and(Access::is_for_admins),
        };
        if !is_refusal && !is_admins {
            return;
        }
        let (method, route, _) = self.fields();
        let address = client.address.map(|address| address.to_string());
        let address = address.as_deref().unwrap_or("unix");
        let (path, status) = (&*self.path, status.as_u16());
        match principal {
            Ok(who) => {
                tracing::info!(target: AUDIT, %who, %address, %method, route, path, status, "audit");
            }
            Err(reason) => {
                tracing::info!(target: AUDIT, who = "unknown", %reason, %address, %method, route, path, status, "audit");
            }
        }
    }

    fn count(&self, app: &App, status: u16) {
        let requests = &app.metrics().requests;
        let elapsed = self.started.elapsed();
        requests.observe(self.method.as_str(), self.route(), status, elapsed);
    }

    /// The method, the route and the milliseconds since the start, as the log shows them.
    fn fields(&self) -> (String, &str, f64) {
        let method = shorten(self.method.as_str()).into_owned();
        (method, self.route(), millis(self.started.elapsed()))
    }

    fn route(&self) -> &str {
        let route = self.route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
        // What lies below a path is one route with it.
        route.strip_suffix("/{*rest}").unwrap_or(route)
    }
}

fn route(request: &Request) -> Option<MatchedPath> {
    request.extensions().get::<MatchedPath>().cloned()
}

fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}
