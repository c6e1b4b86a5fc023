//! Who a client is: the claims of JSON Web Tokens, and the answer to "who am I".

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Answer, SCRIPTED, SESSIONS, START, Server, UNKNOWN_ID, USER, answer, at};
use crate::jwt;

const ADMIN: &str = "the admins' token";
const SERVER: &str = "the server's token";
const ME: &str = "/api/auth/me";

/// The id that `ElizaOS` derives from this name.
const ADA: (&str, &str) = ("ada@example.com", "a8bb4cce-bc75-0e53-96b9-2032deb9317b");

async fn guarded(settings: &[(&str, &str)]) -> Server {
    let mut server = Server::builder()
        .set("ELIZA_SERVER_AUTH_TOKEN", SERVER)
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY);
    for (name, value) in settings {
        server = server.set(name, value);
    }
    server.start().await
}

fn token(claims: &Value) -> String {
    let mut all = json!({ "sub": USER, "exp": START.0 / 1000 + 3600 });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    jwt::signed(&json!({ "alg": "HS256" }), &all, jwt::KEY)
}

async fn me(server: &Server, claims: Value) -> Answer {
    answer(server.request(Method::GET, ME).bearer_auth(token(&claims))).await
}

#[tokio::test]
async fn each_role_is_told_who_it_is() {
    let server = guarded(&[]).await;
    let ask =
        |with: fn(RequestBuilder) -> RequestBuilder| answer(with(server.request(Method::GET, ME)));
    let admin = ask(|request| request.bearer_auth(ADMIN)).await.expect(200);
    assert_eq!(admin.body, json!({ "role": "admin" }));
    let client = ask(|request| request.header("x-api-key", SERVER)).await;
    assert_eq!(client.expect(200).body, json!({ "role": "server" }));
    let user = me(&server, json!({})).await.expect(200);
    assert_eq!(user.body, json!({ "role": "user", "userId": USER }));
    let derived = me(&server, json!({ "sub": ADA.0 })).await.expect(200);
    assert_eq!(derived.body, json!({ "role": "user", "userId": ADA.1 }));
    let unknown = ask(|request| request).await;
    unknown.error(401, "UNAUTHORIZED", "UnauthorizedError");
    me(&server, json!({ "sub": " " })).await.expect(401);
    server.stop().await;

    let open = Server::start().await;
    let anyone = open.get(ME).await.expect(200);
    assert_eq!(anyone.body, json!({ "role": "anonymous" }));
    open.stop().await;
}

#[tokio::test]
async fn a_user_with_any_name_uses_the_id_that_is_derived_from_it() {
    let server = guarded(&[]).await;
    let (name, id) = ADA;
    let by_ada = |request: RequestBuilder| request.bearer_auth(token(&json!({ "sub": name })));
    let create = |user: &str| {
        let fields = json!({ "agentId": SCRIPTED, "userId": user });
        answer(by_ada(server.creating(&fields)))
    };
    create(USER).await.error(403, "FORBIDDEN", "ForbiddenError");
    create(name).await.invalid("InvalidUuidError");
    let session = create(id).await.expect(201).body;
    assert_eq!(session["userId"], id);
    let session = session["sessionId"].as_str().unwrap();
    let sent = server.sending(session, &json!({ "content": "say x", "transport": "http" }));
    let sent = answer(by_ada(sent)).await.expect(201);
    assert_eq!(sent.body["authorId"], id);
    let list = server.request(Method::GET, &format!("{SESSIONS}?userId={id}"));
    assert_eq!(answer(by_ada(list)).await.expect(200).body["total"], 1);
    // Another name is another user.
    let other = server.request(Method::GET, &at(session, ""));
    let other = other.bearer_auth(token(&json!({ "sub": "Ada@example.com" })));
    answer(other).await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn the_rule_for_subjects_is_a_setting() {
    for (rule, of_uuid, of_name) in [
        ("auto", Some(USER), Some(ADA.1)),
        ("uuid", Some(USER), None),
        // Computed with Node.js, as ElizaOS derives it.
        (
            "derive",
            Some("961243a8-9596-0786-84aa-8b25ece61718"),
            Some(ADA.1),
        ),
    ] {
        let server = guarded(&[("JWT_SUBJECT", rule)]).await;
        for (sub, expected) in [(USER, of_uuid), (ADA.0, of_name)] {
            let found = me(&server, json!({ "sub": sub })).await;
            match expected {
                Some(id) => assert_eq!(found.expect(200).body["userId"], id, "{rule} {sub}"),
                None => drop(found.error(401, "UNAUTHORIZED", "UnauthorizedError")),
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn only_tokens_of_accepted_issuers_for_accepted_audiences_are_valid() {
    for name in ["JWT_ISSUER", "JWT_ISSUER_WHITELIST"] {
        let server = guarded(&[(name, "https://a.example, b"), ("JWT_AUDIENCE", "chat,app")]).await;
        for (claims, status) in [
            (json!({ "iss": "https://a.example", "aud": "chat" }), 200),
            (json!({ "iss": "b", "aud": ["other", "app"] }), 200),
            (json!({ "iss": "c", "aud": "chat" }), 401),
            (json!({ "aud": "chat" }), 401),
            (json!({ "iss": "b" }), 401),
            (json!({ "iss": "b", "aud": [] }), 401),
            (json!({ "iss": ["b"], "aud": "chat" }), 401),
        ] {
            assert_eq!(me(&server, claims.clone()).await.status, status, "{claims}");
        }
        // Other credentials have no claims.
        let admin = server.request(Method::GET, ME).bearer_auth(ADMIN);
        answer(admin).await.expect(200);
        server.stop().await;
    }
}

#[tokio::test]
async fn stronger_algorithms_are_accepted() {
    let server = guarded(&[]).await;
    let claims = json!({ "sub": USER, "exp": START.0 / 1000 + 3600 });
    let unsigned = |alg: &str| {
        let token = jwt::signed(&json!({ "alg": alg }), &claims, jwt::KEY);
        token.rsplit_once('.').unwrap().0.to_owned()
    };
    let long = unsigned("HS512");
    let mut mac = Hmac::<sha2::Sha512>::new_from_slice(jwt::KEY.as_bytes()).unwrap();
    mac.update(long.as_bytes());
    let long_tag = BASE64.encode(mac.finalize().into_bytes());
    let middle = unsigned("HS384");
    let mut mac = Hmac::<sha2::Sha384>::new_from_slice(jwt::KEY.as_bytes()).unwrap();
    mac.update(middle.as_bytes());
    let middle_tag = BASE64.encode(mac.finalize().into_bytes());
    for (token, status) in [
        (format!("{long}.{long_tag}"), 200),
        (format!("{middle}.{middle_tag}"), 200),
        (format!("{long}.{middle_tag}"), 401),
        (format!("{}.{long_tag}", unsigned("HS256")), 401),
        (format!("{}.", unsigned("none")), 401),
    ] {
        let request = server.request(Method::GET, ME).bearer_auth(&token);
        assert_eq!(answer(request).await.status, status, "{token}");
    }
    let unknown = server.get(&at(UNKNOWN_ID, "")).await;
    assert_eq!(unknown.status, 401);
    server.stop().await;
}
