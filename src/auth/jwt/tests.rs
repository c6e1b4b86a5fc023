use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret of at least thirty-two bytes";
const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut hmac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    hmac.update(message.as_bytes());
    format!("{message}.{}", BASE64.encode(hmac.finalize().into_bytes()))
}

fn verify(token: &str) -> Result<UserId, InvalidJwt> {
    JwtVerifier::new(&SecretString::from(SECRET)).verify(token.as_bytes(), NOW)
}

fn with_claims(claims: &Value) -> Result<UserId, InvalidJwt> {
    verify(&signed(&json!({"alg": "HS256"}), claims, SECRET))
}

fn claims() -> Value {
    json!({"sub": USER, "exp": NOW.0 / 1000 + 60})
}

#[test]
fn a_token_identifies_its_user() {
    assert_eq!(with_claims(&claims()), Ok(UserId::parse(USER).unwrap()));
    let more = json!({"sub": USER.to_uppercase(), "exp": NOW.0 / 1000 + 60, "aud": "x",
        "iss": "y", "iat": 1, "roles": ["admin"]});
    assert_eq!(with_claims(&more), Ok(UserId::parse(USER).unwrap()));
}

#[test]
fn a_published_example_is_refused_with_another_key() {
    // RFC 7515, A.1.
    let foreign = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(verify(foreign), Err(InvalidJwt::Unsigned));
}

#[test]
fn other_algorithms_and_other_keys_are_refused() {
    let good = signed(&json!({"alg": "HS256"}), &claims(), SECRET);
    let (message, _) = good.rsplit_once('.').unwrap();
    let none = signed(&json!({"alg": "none"}), &claims(), SECRET);
    let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
    for token in [
        signed(&json!({"alg": "HS256"}), &claims(), "another secret"),
        signed(&json!({"alg": "HS384"}), &claims(), SECRET),
        signed(&json!({"alg": "RS256"}), &claims(), SECRET),
        signed(&json!({"alg": "hs256"}), &claims(), SECRET),
        signed(&json!({"alg": "HS256", "crit": ["exp"]}), &claims(), SECRET),
        signed(&json!({}), &claims(), SECRET),
        none,
        unsigned,
        message.to_owned(),
        format!("{message}."),
        format!("{good}="),
        format!("{good}.x"),
        "..".to_owned(),
        String::new(),
    ] {
        assert_eq!(verify(&token), Err(InvalidJwt::Unsigned), "{token}");
    }
}

#[test]
fn a_token_is_valid_only_in_its_time() {
    let now = NOW.0 / 1000;
    for (exp, nbf, expected) in [
        (json!(now - 4), json!(null), Ok(())),
        (json!(now - 5), json!(null), Err(InvalidJwt::Expired)),
        (json!(0), json!(null), Err(InvalidJwt::Expired)),
        (json!(-1e300), json!(null), Err(InvalidJwt::Expired)),
        (json!(1e300), json!(null), Ok(())),
        (json!(now + 60), json!(now + 5), Ok(())),
        (
            json!(now + 60),
            json!(now + 6),
            Err(InvalidJwt::NotYetValid),
        ),
        (json!("9999999999"), json!(null), Err(InvalidJwt::Unsigned)),
        (json!(null), json!(null), Err(InvalidJwt::Unsigned)),
        (json!(true), json!(null), Err(InvalidJwt::Unsigned)),
        (json!(now + 60), json!("0"), Err(InvalidJwt::Unsigned)),
    ] {
        let claims = json!({"sub": USER, "exp": exp, "nbf": nbf});
        assert_eq!(with_claims(&claims).map(drop), expected, "{claims}");
    }
    assert_eq!(
        with_claims(&json!({"sub": USER})),
        Err(InvalidJwt::Unsigned)
    );
}

#[test]
fn the_subject_must_be_a_user_id() {
    let exp = NOW.0 / 1000 + 60;
    for (sub, expected) in [
        (json!("ada"), InvalidJwt::InvalidSubject),
        (json!(""), InvalidJwt::InvalidSubject),
        (json!(7), InvalidJwt::Unsigned),
        (json!(null), InvalidJwt::Unsigned),
    ] {
        assert_eq!(with_claims(&json!({"sub": sub, "exp": exp})), Err(expected));
    }
}

#[test]
fn a_verifier_does_not_show_its_key() {
    let verifier = JwtVerifier::new(&SecretString::from(SECRET));
    assert!(!format!("{verifier:?}").contains("secret of"));
}
