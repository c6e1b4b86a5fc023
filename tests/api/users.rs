//! Users with JSON Web Tokens.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{
    Answer, HOUR, MINUTE, SCRIPTED, SESSIONS, START, Server, UNKNOWN_ID, USER, answer, at,
};
use crate::jwt;

const ADMIN: &str = "the admins' token";

/// Another user.
const OTHER: &str = "22222222-bbbb-0000-0000-000000000002";

async fn guarded() -> Server {
    Server::builder()
        .set("SESSIOND_ADMIN_TOKEN", ADMIN)
        .set("JWT_SECRET", jwt::KEY)
        .start()
        .await
}

fn token(user: &str) -> String {
    jwt::token(user, START.0 / 1000 + 24 * 3600)
}

fn by(request: RequestBuilder, user: &str) -> RequestBuilder {
    request.bearer_auth(token(user))
}

async fn call(server: &Server, method: Method, path: &str, body: &Value, user: &str) -> Answer {
    answer(by(server.request(method, path).json(body), user)).await
}

async fn session(server: &Server, user: &str) -> String {
    let fields = json!({ "agentId": SCRIPTED, "userId": user });
    let created = call(server, Method::POST, SESSIONS, &fields, user).await;
    let created = created.expect(201).body;
    created["sessionId"].as_str().unwrap().to_owned()
}

/// Returns every call that names a session, with a valid body.
fn calls(session: &str) -> Vec<(Method, String, Value)> {
    let sent = json!({ "content": "say x", "transport": "http" });
    vec![
        (Method::GET, at(session, ""), json!({})),
        (Method::POST, at(session, "/messages"), sent),
        (Method::GET, at(session, "/messages"), json!({})),
        (Method::POST, at(session, "/renew"), json!({})),
        (Method::POST, at(session, "/heartbeat"), json!({})),
        (
            Method::PATCH,
            at(session, "/timeout"),
            json!({ "timeoutMinutes": 40 }),
        ),
        (
            Method::PATCH,
            at(session, ""),
            json!({ "metadata": { "a": 1 } }),
        ),
        (Method::DELETE, at(session, ""), json!({})),
    ]
}

#[tokio::test]
async fn a_user_may_do_everything_with_its_own_session() {
    let server = guarded().await;
    let own = session(&server, USER).await;
    for (method, path, body) in calls(&own) {
        let done = call(&server, method.clone(), &path, &body, USER).await;
        assert!(done.status < 300, "{method} {path}: {:#}", done.body);
    }
    server.stop().await;
}

#[tokio::test]
async fn another_users_session_answers_like_a_missing_one() {
    let server = guarded().await;
    let foreign = session(&server, OTHER).await;
    let strip = |answer: &Answer, id: &str| {
        let mut body = answer.body.to_string().replace(id, "ID");
        let time = answer.body["error"]["timestamp"].as_str().unwrap();
        body = body.replace(time, "TIME");
        (answer.status, body)
    };
    let events = at(&foreign, "/events");
    let all = calls(&foreign)
        .into_iter()
        .chain([(Method::GET, events, json!({}))]);
    for (method, path, body) in all {
        let missing = path.replace(&foreign, UNKNOWN_ID);
        let missing = call(&server, method.clone(), &missing, &body, USER).await;
        let refused = call(&server, method.clone(), &path, &body, USER).await;
        assert_eq!(refused.status, 404, "{method} {path}");
        assert_eq!(
            strip(&refused, &foreign),
            strip(&missing, UNKNOWN_ID),
            "{path}"
        );
    }
    // A malformed call is a 400 first, as for a missing session.
    for body in [json!({}), json!({ "content": "" }), json!({ "content": 7 })] {
        let missing = at(UNKNOWN_ID, "/messages");
        let missing = call(&server, Method::POST, &missing, &body, USER).await;
        let path = at(&foreign, "/messages");
        let refused = call(&server, Method::POST, &path, &body, USER).await;
        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(
            strip(&refused, &foreign),
            strip(&missing, UNKNOWN_ID),
            "{body}"
        );
    }
    let untouched = call(&server, Method::GET, &at(&foreign, ""), &json!({}), OTHER).await;
    let untouched = untouched.expect(200).body;
    assert_eq!(untouched["renewalCount"], 0);
    assert_eq!(untouched["timeoutConfig"]["timeoutMinutes"], 30);
    // Its expiry does not reveal it either.
    server.advance(HOUR);
    let refused = call(&server, Method::GET, &at(&foreign, ""), &json!({}), USER).await;
    assert_eq!(refused.status, 404);
    let own = call(&server, Method::GET, &at(&foreign, ""), &json!({}), OTHER).await;
    assert_eq!(own.status, 410);
    server.stop().await;
}

#[tokio::test]
async fn a_user_creates_sessions_only_for_itself() {
    let server = guarded().await;
    let fields = json!({ "agentId": SCRIPTED, "userId": OTHER });
    let refused = call(&server, Method::POST, SESSIONS, &fields, USER).await;
    refused.error(403, "FORBIDDEN", "ForbiddenError");
    let fields = json!({ "agentId": UNKNOWN_ID, "userId": OTHER });
    let refused = call(&server, Method::POST, SESSIONS, &fields, USER).await;
    assert_eq!(refused.status, 403, "whether or not the agent exists");
    let fields = json!({ "agentId": SCRIPTED, "userId": "x" });
    let refused = call(&server, Method::POST, SESSIONS, &fields, USER).await;
    refused.invalid("InvalidUuidError");
    let fields = json!({ "agentId": SCRIPTED, "userId": USER.to_uppercase() });
    call(&server, Method::POST, SESSIONS, &fields, USER)
        .await
        .expect(201);
    server.stop().await;
}

#[tokio::test]
async fn a_user_lists_only_its_own_sessions() {
    let server = guarded().await;
    session(&server, OTHER).await;
    let first = session(&server, USER).await;
    server.advance(31 * MINUTE);
    let second = session(&server, USER).await;
    session(&server, OTHER).await;
    let list = async |query: &str| {
        let path = format!("{SESSIONS}{query}");
        call(&server, Method::GET, &path, &json!({}), USER).await
    };
    for query in [
        "",
        "?limit=5",
        &format!("?userId={OTHER}"),
        &format!("?agentId={SCRIPTED}"),
    ] {
        list(query).await.error(403, "FORBIDDEN", "ForbiddenError");
    }
    let own = list(&format!("?userId={USER}")).await.expect(200).body;
    assert_eq!(own["sessions"][0]["sessionId"], second);
    assert_eq!(own["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(own["total"], 1);
    let stats = json!({ "totalSessions": 2, "activeSessions": 1, "expiredSessions": 1 });
    assert_eq!(own["stats"], stats);
    assert_ne!(first, second);
    list("?userId=x").await.invalid("InvalidUuidError");
    let all = server.request(Method::GET, SESSIONS).bearer_auth(ADMIN);
    let all = answer(all).await.expect(200).body;
    assert_eq!(all["stats"]["totalSessions"], 4);
    server.stop().await;
}

#[tokio::test]
async fn a_token_is_valid_until_it_expires() {
    let server = guarded().await;
    let exp = START.0 / 1000 + 60;
    let token = jwt::token(USER, exp);
    let status = async |token: &str| {
        let request = server
            .request(Method::GET, "/api/agents")
            .bearer_auth(token);
        answer(request).await.status
    };
    assert_eq!(status(&token).await, 200);
    server.advance(MINUTE);
    assert_eq!(status(&token).await, 200, "clocks may differ a little");
    server.advance(MINUTE / 12);
    assert_eq!(status(&token).await, 401);
    for header in [json!({ "alg": "none" }), json!({ "alg": "HS512" })] {
        let claims = json!({ "sub": USER, "exp": exp + 3600 });
        assert_eq!(status(&jwt::signed(&header, &claims, jwt::KEY)).await, 401);
    }
    let header = json!({ "alg": "HS256" });
    for claims in [
        json!({ "sub": USER }),
        json!({ "sub": " ", "exp": exp + 3600 }),
        json!({ "sub": "x".repeat(256), "exp": exp + 3600 }),
        json!({ "exp": exp + 3600 }),
    ] {
        assert_eq!(status(&jwt::signed(&header, &claims, jwt::KEY)).await, 401);
    }
    let claims = json!({ "sub": USER, "exp": exp + 3600 });
    assert_eq!(
        status(&jwt::signed(&header, &claims, "another key")).await,
        401
    );
    assert_eq!(status(&jwt::signed(&header, &claims, jwt::KEY)).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn client_fields_cannot_change_identities() {
    let server = Server::start().await;
    let forged = json!({
        "sessionId": UNKNOWN_ID, "channelId": UNKNOWN_ID, "userId": UNKNOWN_ID, "agentId": UNKNOWN_ID,
        "authorId": UNKNOWN_ID, "isAgent": true, "agentError": { "code": "X", "message": "x" },
        "id": UNKNOWN_ID, "createdAt": "2000-01-01T00:00:00.000Z",
    });
    let created = json!({
        "agentId": SCRIPTED, "userId": USER, "metadata": forged, "sessionId": UNKNOWN_ID,
        "createdAt": "2000-01-01T00:00:00.000Z", "renewalCount": 7,
    });
    let info = server.create(created).await.expect(201).body;
    let session = info["sessionId"].as_str().unwrap();
    assert_ne!(session, UNKNOWN_ID);
    assert_eq!(
        (&info["agentId"], &info["userId"]),
        (&json!(SCRIPTED), &json!(USER))
    );
    assert_eq!(info["renewalCount"], 0);

    let mut fields = forged.as_object().unwrap().clone();
    fields.insert("content".into(), json!("say hello"));
    fields.insert("transport".into(), json!("http"));
    fields.insert("metadata".into(), forged.clone());
    let sent = server
        .send(session, Value::Object(fields))
        .await
        .expect(201);
    let history = server.history(session).await;
    for message in history.iter().chain([&sent.body["userMessage"]]) {
        assert_ne!(message["id"], UNKNOWN_ID);
        assert_eq!(message["metadata"]["sessionId"], session);
        assert!(
            message["metadata"].get("agentError").is_none(),
            "{message:#}"
        );
    }
    let users: Vec<_> = history.iter().filter(|it| it["isAgent"] == false).collect();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0]["authorId"], USER);
    let agents: Vec<_> = history.iter().filter(|it| it["isAgent"] == true).collect();
    assert_eq!(agents.len(), 1);
    assert_eq!(agents[0]["authorId"], SCRIPTED);
    server.stop().await;
}
