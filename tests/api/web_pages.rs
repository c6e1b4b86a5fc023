//! Requests from web pages of other sites, and how browsers are instructed.

use reqwest::Method;
use serde_json::json;

use crate::harness::{RawConnection, SESSIONS, Server, answer};

/// Returns the names in a list of headers, in lower case.
fn names(list: &str) -> Vec<String> {
    let names = list.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.collect()
}

/// Sends a request as a browser does for a page.
async fn from_page(server: &Server, method: Method, path: &str, origin: &str) -> (u16, String) {
    let request = server.request(method, path).header("origin", origin);
    let response = request.body("{}").send().await.unwrap();
    let status = response.status().as_u16();
    let allowed = response.headers().get("access-control-allow-origin");
    let allowed = allowed.map_or("", |value| value.to_str().unwrap());
    (status, allowed.to_owned())
}

#[tokio::test]
async fn requests_from_other_sites_are_refused_before_any_work() {
    let server = Server::start().await;
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "x",
    ] {
        for (method, path) in [
            (Method::POST, SESSIONS),
            (Method::GET, "/healthz"),
            (Method::GET, "/nope"),
            (Method::GET, "/socket.io/?EIO=4&transport=polling"),
            (Method::OPTIONS, SESSIONS),
        ] {
            let request = server.request(method, path).header("origin", origin);
            let refused = answer(request.header("content-type", "text/plain").body("{")).await;
            refused.error(403, "FORBIDDEN", "ForbiddenError");
            assert!(!refused.has_header("access-control-allow-origin"));
        }
    }
    assert_eq!(server.get(SESSIONS).await.body["total"], 0);
    server.stop().await;
}

#[tokio::test]
async fn a_form_of_another_site_creates_nothing() {
    let server = Server::start().await;
    // What a form, or a fetch of an untyped Blob, can send without a preflight.
    for kind in [
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        None,
    ] {
        let body = json!({ "agentId": crate::harness::ELIZA, "userId": crate::harness::USER });
        let mut request = server
            .request(Method::POST, SESSIONS)
            .header("origin", "http://evil.example")
            .body(body.to_string());
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        answer(request).await.expect(403);
    }
    assert_eq!(server.get(SESSIONS).await.body["total"], 0);
    server.stop().await;
}

#[tokio::test]
async fn pages_of_this_machine_may_call_a_server_on_loopback() {
    let server = Server::start().await;
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1:8080",
        server.url(),
    ] {
        let found = from_page(&server, Method::GET, "/api/agents", origin).await;
        assert_eq!(found, (200, origin.to_owned()));
    }
    server.stop().await;
}

#[tokio::test]
async fn without_authentication_a_foreign_host_name_is_refused() {
    let status = async |server: &Server, host: &str, token: &str| {
        let request = server
            .request(Method::GET, "/api/agents")
            .header("host", host)
            .header("x-api-key", token);
        answer(request).await.status
    };
    let server = Server::start().await;
    for (host, expected) in [
        ("localhost", 200),
        ("x.localhost:1", 200),
        ("127.0.0.1:80", 200),
        ("[::1]", 200),
        ("evil.example", 403),
        ("evil.example:3000", 403),
        ("192.168.0.7", 403),
    ] {
        assert_eq!(status(&server, host, "").await, expected, "{host}");
    }
    server.stop().await;
    let guarded = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .start()
        .await;
    assert_eq!(status(&guarded, "chat.example", "t").await, 200);
    guarded.stop().await;
}

#[tokio::test]
async fn another_site_can_link_to_the_console_and_nothing_else() {
    let server = Server::start().await;
    let status = async |server: &Server, method: Method, path: &str, mode: &str| {
        let request = server.request(method, path);
        let request = request.header("sec-fetch-site", "cross-site");
        let request = request.header("sec-fetch-mode", mode);
        let response = request.header("x-api-key", "t").send().await.unwrap();
        response.status()
    };
    let pages = ["/", "/docs", "/docs/", "/console/app.js"];
    for path in pages {
        assert_eq!(
            status(&server, Method::GET, path, "navigate").await,
            200,
            "{path}"
        );
        assert_eq!(
            status(&server, Method::GET, path, "no-cors").await,
            403,
            "{path}"
        );
        assert_eq!(
            status(&server, Method::POST, path, "navigate").await,
            403,
            "{path}"
        );
    }
    for path in [
        SESSIONS,
        "/healthz",
        "/openapi.json",
        "/socket.io/?EIO=4&transport=polling",
    ] {
        for mode in ["navigate", "no-cors", "cors", "websocket"] {
            assert_eq!(
                status(&server, Method::GET, path, mode).await,
                403,
                "{path} {mode}"
            );
        }
    }
    // A page of this machine may, and identifies itself as one.
    let request = server.request(Method::GET, "/api/agents");
    let request = request.header("sec-fetch-site", "cross-site");
    answer(request.header("origin", "http://localhost:5173"))
        .await
        .expect(200);
    server.stop().await;
    let guarded = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .start()
        .await;
    assert_eq!(
        status(&guarded, Method::GET, SESSIONS, "no-cors").await,
        200
    );
    guarded.stop().await;
}

#[tokio::test]
async fn only_listed_origins_may_call_and_read() {
    let server = Server::builder()
        .set("CORS_ORIGIN", "https://chat.example, http://localhost:5173")
        .start()
        .await;
    let get = async |origin| from_page(&server, Method::GET, "/api/agents", origin).await;
    assert_eq!(
        get("https://chat.example").await,
        (200, "https://chat.example".into())
    );
    assert_eq!(get("http://localhost:5173").await.0, 200);
    assert_eq!(get("http://localhost:5174").await.0, 403);
    assert_eq!(get("http://chat.example").await.0, 403);
    assert_eq!(get(server.url()).await.0, 200, "its own origin");
    let plain = server.get("/api/agents").await;
    assert_eq!(names(plain.header("vary")), ["origin"]);
    assert!(!plain.has_header("access-control-allow-origin"));
    server.stop().await;
}

#[tokio::test]
async fn a_wildcard_origin_allows_every_page() {
    let server = Server::builder().set("CORS_ORIGIN", "*").start().await;
    for origin in ["https://any.example", "null"] {
        let found = from_page(&server, Method::GET, "/api/agents", origin).await;
        assert_eq!(found, (200, "*".to_owned()));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_preflight_needs_no_token_and_lists_what_may_be_sent() {
    let server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .set("CORS_ORIGIN", "https://chat.example")
        .start()
        .await;
    let preflight = async |path: &str, origin: &str| {
        let request = server
            .request(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header(
                "access-control-request-headers",
                "authorization,idempotency-key",
            );
        request.send().await.unwrap()
    };
    for path in [SESSIONS, "/api/messaging/sessions/x/timeout", "/socket.io/"] {
        let response = preflight(path, "https://chat.example").await;
        assert_eq!(response.status(), 204, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            header("access-control-allow-origin"),
            "https://chat.example"
        );
        assert_eq!(names(&header("vary")), ["origin"]);
        assert!(header("access-control-allow-methods").contains("PATCH"));
        assert_eq!(
            names(&header("access-control-allow-headers")),
            [
                "content-type",
                "authorization",
                "x-api-key",
                "idempotency-key",
                "last-event-id",
                "x-request-id",
                "traceparent"
            ]
        );
        let credentials = "access-control-allow-credentials";
        assert!(!response.headers().contains_key(credentials));
    }
    assert_eq!(
        preflight(SESSIONS, "https://evil.example").await.status(),
        403
    );
    // An OPTIONS that is not a preflight is a call like any other.
    let options = server.request(Method::OPTIONS, SESSIONS);
    answer(options.header("x-api-key", "t")).await.expect(405);
    server.stop().await;
}

#[tokio::test]
async fn a_page_may_read_the_exposed_headers() {
    let server = Server::start().await;
    let request = server
        .request(Method::GET, "/api/agents")
        .header("origin", "http://localhost:5173");
    let answer = answer(request).await;
    assert_eq!(
        names(answer.header("access-control-expose-headers")),
        [
            "location",
            "retry-after",
            "x-request-id",
            "idempotent-replayed"
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn every_response_forbids_caching_and_embedding() {
    let server = Server::start().await;
    for path in ["/api/agents", "/nope", SESSIONS, "/healthz"] {
        let answer = server.get(path).await;
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(answer.header("content-security-policy"), policy);
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_absolute_target_is_checked_with_and_without_a_trailing_slash() {
    let server = Server::start().await;
    for (name, host, status) in [
        ("evil.example", "localhost", 403),
        ("localhost", "evil.example", 200),
    ] {
        for slash in ["", "/", "//"] {
            let mut wire = RawConnection::open(&server).await;
            let head = format!("GET http://{name}/api/agents{slash} HTTP/1.1\r\nhost: {host}");
            wire.write(&format!("{head}\r\n\r\n")).await;
            assert_eq!(wire.reply().await.status, status, "{head}");
        }
    }
    server.stop().await;
}

/// The files of the client library.
const MODULES: [&str; 4] = [
    "/client.js",
    "/client.d.ts",
    "/chat-transport.js",
    "/chat-transport.d.ts",
];

#[tokio::test]
async fn pages_of_any_origin_can_load_the_client_library() {
    let guarded = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", "t")
        .set("CORS_ORIGIN", "https://chat.example")
        .start()
        .await;
    let open = Server::start().await;
    for server in [&guarded, &open] {
        for path in MODULES {
            for origin in ["https://any.example", "https://chat.example", "null"] {
                let request = server.request(Method::GET, path).header("origin", origin);
                let response = request
                    .header("sec-fetch-site", "cross-site")
                    .header("sec-fetch-mode", "cors")
                    .send()
                    .await
                    .unwrap();
                assert_eq!(response.status(), 200, "{path} {origin}");
                let header = |name: &str| response.headers()[name].to_str().unwrap();
                assert_eq!(header("access-control-allow-origin"), "*");
                assert_eq!(header("cross-origin-resource-policy"), "cross-origin");
                assert_eq!(header("x-content-type-options"), "nosniff");
                assert_eq!(header("cache-control"), "no-cache");
                let kind = if path.ends_with(".js") {
                    "text/javascript; charset=utf-8"
                } else {
                    "text/plain; charset=utf-8"
                };
                assert_eq!(header("content-type"), kind);
            }
        }
        // A page without CORS, such as one with a classic script or a prefetch.
        let request = server.request(Method::HEAD, "/client.js");
        let request = request.header("sec-fetch-site", "cross-site");
        assert_eq!(request.send().await.unwrap().status(), 200);
        for (method, path) in [
            (Method::POST, "/client.js"),
            (Method::OPTIONS, "/client.js"),
            (Method::GET, "/console/api.js"),
            (Method::GET, "/client.mjs"),
        ] {
            let (status, allowed) = from_page(server, method, path, "https://any.example").await;
            assert_eq!((status, &*allowed), (403, ""), "{path}");
        }
    }
    // A name that an attacker has pointed at this machine is refused for everything.
    let request = open.request(Method::GET, "/client.js");
    answer(request.header("host", "evil.example"))
        .await
        .error(403, "FORBIDDEN", "ForbiddenError");
    guarded.stop().await;
    open.stop().await;
}

#[tokio::test]
async fn pages_and_openapi_are_compressed_for_clients_that_accept_it() {
    let server = Server::start().await;
    let get = async |path: &str, accepted: &str| {
        let request = server.request(Method::GET, path);
        let response = request.header("accept-encoding", accepted).send().await;
        response.unwrap()
    };
    for path in ["/", "/docs", "/console/app.js", "/openapi.json"]
        .into_iter()
        .chain(MODULES)
    {
        let [gzip, plain, odd] = [
            get(path, "br, gzip").await,
            get(path, "identity").await,
            get(path, "identity;q=0").await,
        ];
        assert_eq!(gzip.headers()["content-encoding"], "gzip");
        assert!(gzip.content_length() < plain.content_length(), "{path}");
        for response in [plain, odd] {
            assert_eq!(response.status(), 200, "{path}");
            assert!(!response.headers().contains_key("content-encoding"));
        }
        let varies = gzip.headers().get_all("vary").iter();
        let varies: Vec<_> = varies.map(|it| names(it.to_str().unwrap())).collect();
        assert!(varies.concat().contains(&"accept-encoding".to_owned()));
    }
    // API responses are not compressed: their length would reveal text shared with a secret.
    for path in [SESSIONS, "/api/agents"] {
        let response = get(path, "gzip").await;
        assert!(!response.headers().contains_key("content-encoding"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_has_an_etag_for_each_encoding() {
    let server = Server::start().await;
    for path in ["/console/app.js", "/client.js"] {
        let get = async |coding: &str, known: &str| {
            let request = server.request(Method::GET, path);
            let request = request.header("accept-encoding", coding);
            let response = request.header("if-none-match", known).send().await;
            response.unwrap()
        };
        let tag = async |coding| get(coding, "").await.headers()["etag"].clone();
        let (gzip, plain) = (tag("gzip").await, tag("identity").await);
        assert_ne!(gzip, plain);
        for known in [&gzip, &plain] {
            let response = get("gzip", known.to_str().unwrap()).await;
            assert_eq!(response.status(), 304);
            assert!(response.headers().contains_key("vary"));
        }
        assert_eq!(get("gzip", "\"another\"").await.status(), 200);
    }
    server.stop().await;
}
