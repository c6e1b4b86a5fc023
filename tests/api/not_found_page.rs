//! The page for browsers that open an address without a page.

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder};

use crate::harness::{SESSIONS, Server, UNKNOWN_ID, answer, at};

/// What browsers accept when they open an address.
const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

struct Page {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Page {
    fn is_html(&self) -> bool {
        let content_type = self.headers.get("content-type");
        content_type.is_some_and(|it| it == "text/html; charset=utf-8")
    }

    /// Returns the values of a list of headers, in lower case.
    fn list(&self, name: &str) -> Vec<&str> {
        let list = self.headers.get(name).map_or("", String::as_str);
        list.split(',').map(str::trim).collect()
    }
}

async fn open(server: &Server, path: &str) -> Page {
    let request = server.request(Method::GET, path);
    load(request.header("accept", BROWSER)).await
}

async fn load(request: RequestBuilder) -> Page {
    let response = request.send().await.unwrap();
    let mut headers = BTreeMap::<_, String>::new();
    for (name, value) in response.headers() {
        // They differ from one answer to the next.
        if !["x-request-id", "date"].contains(&name.as_str()) {
            let all = headers.entry(name.to_string()).or_default();
            if !all.is_empty() {
                all.push(',');
            }
            all.push_str(value.to_str().unwrap());
        }
    }
    Page {
        status: response.status().as_u16(),
        headers,
        body: response.text().await.unwrap(),
    }
}

#[tokio::test]
async fn a_browser_gets_a_page_that_leads_on() {
    let server = Server::start().await;
    let console = open(&server, "/").await;
    let page = open(&server, "/nope").await;
    assert_eq!(page.status, 404);
    assert!(page.is_html());
    for link in ["href=\"/\"", "href=\"/docs\"", "href=\"/#/health\""] {
        assert!(page.body.contains(link), "{link}");
    }
    assert!(
        page.body
            .contains("<title>Page not found · sessiond</title>")
    );
    assert!(page.body.contains("<h1>Page not found</h1>"));
    assert!(!page.body.contains("<script"));
    for name in [
        "content-security-policy",
        "referrer-policy",
        "x-content-type-options",
    ] {
        assert_eq!(page.headers[name], console.headers[name], "{name}");
    }
    assert_eq!(page.headers["content-language"], "en");
    assert_eq!(page.headers["cache-control"], "no-store");
    for accepted in ["accept", "accept-encoding", "origin"] {
        assert!(page.list("vary").contains(&accepted), "{accepted}");
    }
    assert!(!page.headers.contains_key("etag"));
    for path in [
        "/nope/",
        "/console",
        "/console/nope.js",
        "/a/b?c=d",
        "/apis",
        "//api/agents",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/%ff",
    ] {
        let other = open(&server, path).await;
        assert_eq!(
            (other.status, other.body),
            (404, page.body.clone()),
            "{path}"
        );
    }
    let head = server
        .request(Method::HEAD, "/nope")
        .header("accept", BROWSER);
    let head = load(head).await;
    assert_eq!((head.status, head.body.as_str()), (404, ""));
    assert_eq!(head.headers, page.headers);
    let request = server
        .request(Method::GET, "/nope")
        .header("accept", BROWSER);
    let gzip = load(request.header("accept-encoding", "gzip")).await;
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    server.stop().await;
}

#[tokio::test]
async fn other_clients_and_the_api_get_the_json_error() {
    let server = Server::start().await;
    let plain = load(server.request(Method::GET, "/nope")).await;
    assert!(plain.list("vary").contains(&"accept"));
    for accept in [
        "*/*",
        "application/json",
        "text/*",
        "text/html;q=0.5,*/*;q=0.8",
        "",
    ] {
        let request = server
            .request(Method::GET, "/nope")
            .header("accept", accept);
        let other = load(request).await;
        assert_eq!(
            (other.status, &other.body),
            (404, &plain.body),
            "{accept:?}"
        );
        assert_eq!(other.headers, plain.headers);
    }
    let (session, below) = (at(UNKNOWN_ID, ""), at(UNKNOWN_ID, "/nope"));
    for (method, path, status) in [
        (Method::GET, "/api", 404),
        (Method::GET, "/api/nope", 404),
        (Method::GET, &session, 404),
        (Method::GET, &below, 404),
        (Method::POST, "/nope", 404),
        (Method::DELETE, "/nope", 404),
        (Method::OPTIONS, "/nope", 404),
        (Method::POST, "/docs", 405),
        (Method::PUT, SESSIONS, 405),
    ] {
        let browser = server
            .request(method.clone(), path)
            .header("accept", BROWSER);
        let plain = load(server.request(method.clone(), path)).await;
        let browser = load(browser).await;
        assert_eq!(browser.status, status, "{method} {path}");
        assert!(!browser.is_html());
        assert_eq!(browser.body, plain.body);
        assert!(!browser.list("vary").contains(&"accept"));
    }
    let path = "/socket.io/?EIO=3";
    let sockets = load(server.request(Method::GET, path).header("accept", BROWSER)).await;
    assert!(sockets.status >= 400 && !sockets.is_html());
    let foreign = server
        .request(Method::GET, "/nope")
        .header("accept", BROWSER);
    let foreign = foreign.header("origin", "https://evil.example");
    answer(foreign)
        .await
        .error(403, "FORBIDDEN", "ForbiddenError");
    server.stop().await;
}

#[tokio::test]
async fn the_page_does_not_reveal_which_paths_exist() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "the server's token")
        .set("SESSIOND_ADMIN_TOKEN", "the admins' token")
        .start()
        .await;
    let call = async |path: &str, accept: &str, token: &str| {
        let request = server.request(Method::GET, path).header("accept", accept);
        let request = match token {
            "" => request,
            token => request.bearer_auth(token),
        };
        load(request).await
    };
    // Neither without credentials nor with wrong ones.
    for token in ["", "wrong"] {
        let unknown = call("/nope", BROWSER, token).await;
        let protected = call("/metrics", BROWSER, token).await;
        assert!(unknown.is_html());
        assert_eq!(unknown.status, 401, "unknown paths require authentication");
        assert_eq!(unknown.headers["www-authenticate"], "Bearer");
        assert_eq!(
            (unknown.status, unknown.headers, unknown.body),
            (protected.status, protected.headers, protected.body)
        );
        for path in ["/nope", "/metrics"] {
            let error = call(path, "*/*", token).await;
            assert_eq!(error.status, 401, "{path}");
            assert!(error.body.contains("UnauthorizedError"), "{}", error.body);
        }
    }
    // The files of the console are public.
    assert_eq!(call("/console/nope", BROWSER, "").await.status, 404);
    let known = call("/nope", BROWSER, "the admins' token").await;
    assert_eq!((known.status, known.is_html()), (404, true));
    let metrics = call("/metrics", BROWSER, "the admins' token").await;
    assert_eq!((metrics.status, metrics.is_html()), (200, false));
    server.stop().await;
}
