use super::*;

fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.parse().unwrap());
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, origin.parse().unwrap());
    }
    headers
}

fn admits(allowed: &str, host: &str, origin: &str) -> bool {
    let allowed = match allowed {
        "" => AllowedOrigins::None,
        "loopback" => AllowedOrigins::Loopback,
        list => AllowedOrigins::parse(list).unwrap(),
    };
    let origins = Origins {
        allowed,
        only_local_names: None,
    };
    let uri = Uri::from_static("/api/agents");
    origins
        .admit(&uri, &headers(host, Some(origin)), || false)
        .is_ok()
}

#[test]
fn the_servers_own_origin_is_allowed_with_any_scheme() {
    for (host, origin) in [
        ("chat.example:3000", "http://chat.example:3000"),
        ("chat.example", "https://chat.example"),
        ("chat.example", "https://chat.example:443"),
        ("chat.example:443", "https://chat.example"),
        ("chat.example:80", "http://chat.example"),
        ("Chat.Example", "http://chat.example"),
        ("[::1]:3000", "http://[::1]:3000"),
    ] {
        assert!(admits("", host, origin), "{host} {origin}");
    }
}

#[test]
fn other_origins_are_refused() {
    for (host, origin) in [
        ("chat.example:3000", "http://chat.example"),
        ("chat.example:3000", "http://chat.example:3001"),
        ("chat.example", "http://chat.example:443"),
        ("chat.example", "http://evil.example"),
        ("chat.example", "http://chat.example.evil.example"),
        ("chat.example", "http://chat.example@evil.example"),
        ("chat.example", "null"),
        ("chat.example", ""),
        ("chat.example", "chat.example"),
        ("chat.example", "http://"),
        ("chat.example", "http://chat.example/x"),
        ("chat.example", "http://chat.example:x"),
        ("chat.example", "http://chat.example http://evil.example"),
        ("127.0.0.1:3000", "http://127.0.0.1:8080"),
    ] {
        assert!(!admits("", host, origin), "{host} {origin}");
    }
}

#[test]
fn loopback_origins_can_be_allowed() {
    for origin in [
        "http://localhost:5173",
        "https://app.localhost",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
    ] {
        assert!(admits("loopback", "127.0.0.1:3000", origin), "{origin}");
    }
    for origin in [
        "null",
        "http://localhost.evil.example",
        "http://evillocalhost",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
    ] {
        assert!(!admits("loopback", "127.0.0.1:3000", origin), "{origin}");
    }
}

#[test]
fn only_listed_origins_are_allowed() {
    let list = "https://App.example, http://localhost:5173/ ,https://b.example:443";
    for (origin, expected) in [
        ("https://app.example", true),
        ("https://app.example:443", true),
        ("https://b.example", true),
        ("http://localhost:5173", true),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://x.app.example", false),
        ("http://localhost:5174", false),
        ("null", false),
    ] {
        assert_eq!(admits(list, "chat.example", origin), expected, "{origin}");
    }
    assert!(admits("*", "chat.example", "null"));
    assert!(admits("*", "chat.example", "https://any.example"));
}

#[test]
fn an_invalid_origin_in_a_list_is_named() {
    for wrong in [
        "example.com",
        "https://",
        "https://a.example/path",
        "null",
        "*.example",
    ] {
        let list = format!("https://a.example, {wrong}");
        assert_eq!(AllowedOrigins::parse(&list), Err(wrong));
    }
}

#[test]
fn a_local_server_accepts_only_local_hosts() {
    let origins = Origins {
        allowed: AllowedOrigins::Loopback,
        only_local_names: Some("Dev.Box".into()),
    };
    let uri = Uri::from_static("/");
    for (host, expected) in [
        ("localhost", true),
        ("LOCALHOST:3000", true),
        ("localhost.:3000", true),
        ("x.y.localhost:1", true),
        ("127.0.0.1", true),
        ("127.1.2.3:9", true),
        ("[::1]:3000", true),
        ("[::ffff:127.0.0.1]", true),
        ("dev.box:3000", true),
        ("evil.example", false),
        ("evil.example:3000", false),
        ("localhost.evil.example", false),
        ("0.0.0.0", false),
        ("192.168.1.1", false),
        ("[::]", false),
        ("", false),
        ("a b", false),
    ] {
        let admitted = origins.admit(&uri, &headers(host, None), || false);
        assert_eq!(admitted.is_ok(), expected, "{host:?}");
    }
    assert_eq!(
        origins
            .admit(&uri, &HeaderMap::new(), || false)
            .unwrap_err(),
        ForeignPage::Host
    );
    let mut twice = headers("localhost", None);
    twice.append(header::HOST, HeaderValue::from_static("evil.example"));
    assert!(origins.admit(&uri, &twice, || false).is_err());
    // The request line overrides the header.
    let absolute = Uri::from_static("http://evil.example/");
    assert!(
        origins
            .admit(&absolute, &headers("localhost", None), || false)
            .is_err()
    );
    // With DNS rebinding, the page's origin is that of its host.
    let rebound = headers("evil.example:3000", Some("http://evil.example:3000"));
    assert_eq!(
        origins.admit(&uri, &rebound, || false).unwrap_err(),
        ForeignPage::Host
    );
}

#[test]
fn a_local_server_without_authentication_refuses_cross_site_requests() {
    let admits = |only_local_names: bool, sent: &[(&'static str, &str)], is_page: bool| {
        let origins = Origins {
            allowed: AllowedOrigins::Loopback,
            only_local_names: only_local_names.then(|| "localhost".into()),
        };
        let mut headers = headers("localhost:3000", None);
        for (name, value) in sent {
            headers.insert(*name, value.parse().unwrap());
        }
        origins.admit(&Uri::from_static("/"), &headers, || is_page)
    };
    let cross = ("sec-fetch-site", "cross-site");
    let navigates = ("sec-fetch-mode", "navigate");
    let loads = ("sec-fetch-mode", "no-cors");
    let neighbour = ("origin", "http://127.0.0.1:5173");
    let stranger = ("origin", "https://evil.example");
    for is_page in [false, true] {
        assert_eq!(
            admits(true, &[cross, loads], is_page).unwrap_err(),
            ForeignPage::CrossSite
        );
        assert_eq!(
            admits(true, &[cross], is_page).unwrap_err(),
            ForeignPage::CrossSite
        );
        assert_eq!(
            admits(true, &[cross, stranger], is_page).unwrap_err(),
            ForeignPage::Origin
        );
        assert!(admits(true, &[cross, neighbour], is_page).is_ok());
        for site in ["same-origin", "same-site", "none"] {
            let same = ("sec-fetch-site", site);
            assert!(admits(true, &[same, loads], is_page).is_ok(), "{site}");
        }
        // With authentication, the credentials decide.
        assert!(admits(false, &[cross, loads], is_page).is_ok());
    }
    assert!(admits(true, &[cross, navigates], true).is_ok());
    assert_eq!(
        admits(true, &[cross, navigates], false).unwrap_err(),
        ForeignPage::CrossSite
    );
}
