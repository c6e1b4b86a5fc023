//! A page instead of an error, for browsers that open an address without a page.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::handlers::console;

/// The paths that only programs use.
const FOR_PROGRAMS: [&str; 2] = ["/api", "/socket.io"];

/// What a range of media types must be to include JSON, the most specific one first.
const JSON_RANGES: [&str; 3] = ["application/json", "application/*", "*/*"];

/// Answers a browser that opens an unknown or protected address outside of the API with a page. Other clients, and those of the API, get the error.
///
/// Without valid credentials, an unknown path and a protected one are both a 401 with the same
/// page, so that it reveals no paths.
pub(super) async fn show_page(request: Request, next: Next) -> Response {
    if !may_be_navigation(&request) {
        return next.run(request).await;
    }
    let headers = request.headers();
    let browser = prefers_html(headers).then(|| headers.clone());
    let mut response = next.run(request).await;
    let error = response.extensions().get::<ApiError>();
    let Some(error) = error.filter(|error| is_missing(error.status())) else {
        return response;
    };
    let page = browser.and_then(|headers| console::not_found(&headers));
    if let Some(page) = page.map(|page| error.complete(page)) {
        response = replace(response, page);
    }
    let accept = HeaderValue::from_static("accept");
    response.headers_mut().append(header::VARY, accept);
    response
}

/// Replaces an error by a page; what the other layers have to know about the response stays.
fn replace(mut response: Response, mut page: Response) -> Response {
    response.extensions_mut().remove::<ApiError>();
    std::mem::swap(page.extensions_mut(), response.extensions_mut());
    page
}

fn is_missing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED)
}

fn may_be_navigation(request: &Request) -> bool {
    let path = request.uri().path();
    let is_below = |parent| {
        let rest = path.strip_prefix(parent);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !FOR_PROGRAMS.into_iter().any(is_below)
}

/// Returns whether the client names HTML and prefers it to JSON. A wildcard does not name it.
fn prefers_html(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(weighted);
    let ranges: Vec<_> = ranges.collect();
    let weight = |name: &str| {
        let found = ranges
            .iter()
            .find(|(range, _)| range.eq_ignore_ascii_case(name));
        found.map(|(_, weight)| *weight)
    };
    let json = JSON_RANGES.into_iter().find_map(weight).unwrap_or(0.0);
    weight("text/html").is_some_and(|html| html > json)
}

/// Returns a range of media types without its parameters, and its weight: 0 if that is invalid.
fn weighted(range: &str) -> (&str, f32) {
    let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
    let mut parameters = parameters.split(';').filter_map(|it| it.split_once('='));
    let weight = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let weight = weight.map_or(1.0, |(_, weight)| weight.trim().parse().unwrap_or(0.0));
    let is_valid = (0.0..=1.0).contains(&weight);
    (name.trim(), if is_valid { weight } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_preferred_if_it_is_named_with_more_weight_than_json() {
        for (accepted, is_preferred) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("text/html", true),
            ("TEXT/HTML; level=1; Q=0.5, */*;q=0.4", true),
            ("application/json;q=0.9, text/html", true),
            ("*/*, application/json;q=0.1, text/html;q=0.2", true),
            ("application/*;q=0.1, */*, text/html;q=0.2", true),
            ("*/*", false),
            ("text/*", false),
            ("", false),
            ("application/json", false),
            ("text/html, application/json", false),
            ("text/html, */*", false),
            ("text/html;q=0.5, */*;q=0.8", false),
            ("text/html;q=0", false),
            ("text/html;q=2", false),
            ("text/html;q=NaN", false),
            ("text/html;q=", false),
            ("text/htmlx", false),
            (
                "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
                false,
            ),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT, accepted.parse().unwrap());
            assert_eq!(prefers_html(&request), is_preferred, "{accepted:?}");
        }
        let mut request = HeaderMap::new();
        assert!(!prefers_html(&request));
        for accepted in ["text/html", "*/*;q=0.8"] {
            request.append(header::ACCEPT, accepted.parse().unwrap());
        }
        assert!(prefers_html(&request), "the lines are one list");
    }
}
