//! Reports each request to the metrics, the log and the audit log.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Span;
use tracing::field::display;

use super::authentication::Authentication;
use crate::app::App;
use crate::auth::access::Access;
use crate::auth::identity::Principal;
use crate::metrics::CLIENT_DISCONNECTED;
use crate::telemetry::{AUDIT, shorten};

const UNKNOWN: &str = "unknown";

/// Counts, logs and audits a request when it is answered or its client disconnects.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let operation = Operation {
        method: request.method().clone(),
        path: shorten(request.uri().path()).into_owned(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        started: Instant::now(),
    };
    let authentication = request.extensions().get::<Authentication>().cloned();
    let mut guard = DisconnectGuard {
        armed: Some((app, operation)),
        span: Span::current(),
    };
    let response = next.run(request).await;
    if let Some((app, operation)) = guard.armed.take() {
        operation.answered(&app, response.status());
        let access = response.extensions().get::<Access>().copied();
        if let Some(authentication) = authentication {
            operation.audit(&authentication, access, response.status());
        }
    }
    response
}

struct Operation {
    method: Method,
    path: String,
    /// The path of the route, with the names of its parameters.
    route: Option<MatchedPath>,
    started: Instant,
}

/// Reports a disconnected client when dropped while armed.
struct DisconnectGuard {
    armed: Option<(Arc<App>, Operation)>,
    /// The request's span. A drop happens outside of it.
    span: Span,
}

impl Drop for DisconnectGuard {
    fn drop(&mut self) {
        let Some((app, operation)) = self.armed.take() else {
            return;
        };
        let _entered = self.span.enter();
        operation.count(&app, CLIENT_DISCONNECTED);
        let (method, route, elapsed_ms) = operation.fields();
        tracing::debug!(%method, route, status = CLIENT_DISCONNECTED, elapsed_ms, "the client disconnected");
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

    /// Audits each use of an admin endpoint and each refusal.
    fn audit(&self, client: &Authentication, access: Option<Access>, status: StatusCode) {
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let principal = match access {
            Some(Access::Public) => Ok(Principal::Anonymous),
            _ => client.principal,
        };
        let is_admin_call = match principal {
            // Without authentication there is no identity to record.
            Ok(Principal::Anonymous) | Err(_) => false,
            Ok(Principal::Admin) => true,
            Ok(_) => access.is_some_and(Access::is_for_admins),
        };
        if !is_refusal && !is_admin_call {
            return;
        }
        let (method, route, _) = self.fields();
        let address = client.address.map(|address| address.to_string());
        let address = address.as_deref().unwrap_or("unix");
        let (path, status) = (&*self.path, status.as_u16());
        let (who, reason) = match principal {
            Ok(who) => (who.to_string(), None),
            Err(reason) => ("unknown".to_owned(), Some(display(reason))),
        };
        tracing::info!(
            target: AUDIT, %who, reason, %address, %method, route, path, status, "audit"
        );
    }

    fn count(&self, app: &App, status: u16) {
        let requests = &app.metrics().requests;
        let elapsed = self.started.elapsed();
        requests.observe(self.method.as_str(), self.route(), status, elapsed);
    }

    /// Returns the method, the route and the elapsed milliseconds for the log.
    fn fields(&self) -> (String, &str, f64) {
        let method = shorten(self.method.as_str()).into_owned();
        let elapsed_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        (method, self.route(), elapsed_ms)
    }

    fn route(&self) -> &str {
        let route = self.route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
        // A path and those below it are one route.
        route.strip_suffix("/{*rest}").unwrap_or(route)
    }
}
