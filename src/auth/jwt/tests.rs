use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use super::*;
use crate::auth::claims::SubjectRule;
use crate::domain::time::Millis;

const SECRET: &str = "a secret of at least thirty-two bytes";
const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    signed_by::<Hmac<Sha256>>(header, claims, secret)
}

fn signed_by<M: Mac + KeyInit>(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

fn verify(token: &str) -> Result<UserId, InvalidJwt> {
    verify_by(ClaimRules::default(), token)
}

fn verify_by(rules: ClaimRules, token: &str) -> Result<UserId, InvalidJwt> {
    JwtVerifier::new(&SecretString::from(SECRET), rules).verify(token.as_bytes(), NOW)
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
        signed(&json!({"alg": "RS256"}), &claims(), SECRET),
        signed(&json!({"alg": "ES256"}), &claims(), SECRET),
        signed(&json!({"alg": "EdDSA"}), &claims(), SECRET),
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
fn each_hmac_of_the_sha_2_family_is_accepted_if_the_header_names_it() {
    type Sign = fn(&Value, &Value, &str) -> String;
    let signers: [(&str, Sign); 3] = [
        ("HS256", signed_by::<Hmac<Sha256>>),
        ("HS384", signed_by::<Hmac<Sha384>>),
        ("HS512", signed_by::<Hmac<Sha512>>),
    ];
    for (name, sign) in signers {
        for (alg, _) in signers {
            let token = sign(&json!({"alg": alg}), &claims(), SECRET);
            let expected = if alg == name {
                Ok(UserId::parse(USER).unwrap())
            } else {
                Err(InvalidJwt::Unsigned)
            };
            assert_eq!(verify(&token), expected, "signed by {name}, named {alg}");
        }
        let foreign = sign(&json!({"alg": name}), &claims(), "another secret");
        assert_eq!(verify(&foreign), Err(InvalidJwt::Unsigned), "{name}");
        let none = sign(&json!({"alg": "none"}), &claims(), SECRET);
        assert_eq!(verify(&none), Err(InvalidJwt::Unsigned), "{name}");
    }
}

fn with_sub(subject: SubjectRule, sub: &Value) -> Result<String, InvalidJwt> {
    let claims = json!({"sub": sub, "exp": NOW.0 / 1000 + 60});
    let rules = ClaimRules {
        subject,
        ..ClaimRules::default()
    };
    let token = signed(&json!({"alg": "HS256"}), &claims, SECRET);
    verify_by(rules, &token).map(|user| user.to_string())
}

#[test]
fn a_subject_that_is_not_a_string_of_1_to_255_characters_is_refused() {
    use SubjectRule::{Auto, Derive, Uuid};
    for rule in [Auto, Uuid, Derive] {
        for (sub, expected) in [
            (json!(""), InvalidJwt::InvalidSubject),
            (json!(" \t\u{a0}"), InvalidJwt::InvalidSubject),
            (json!("é".repeat(256)), InvalidJwt::InvalidSubject),
            (json!(7), InvalidJwt::Unsigned),
            (json!(null), InvalidJwt::Unsigned),
            (json!([USER]), InvalidJwt::Unsigned),
        ] {
            assert_eq!(with_sub(rule, &sub), Err(expected), "{rule:?} {sub}");
        }
        let missing = json!({"exp": NOW.0 / 1000 + 60});
        assert_eq!(with_claims(&missing), Err(InvalidJwt::Unsigned));
    }
    for rule in [Auto, Derive] {
        assert!(with_sub(rule, &json!("é".repeat(255))).is_ok());
    }
}

#[test]
fn a_subject_names_a_user_by_the_rule() {
    use SubjectRule::{Auto, Derive, Uuid};
    const DERIVED: &str = "1864e6d8-69a9-0467-bdf3-c8a182645cc5";
    const ADA: &str = "a8bb4cce-bc75-0e53-96b9-2032deb9317b";
    let not_uuid = Err(InvalidJwt::SubjectNotUuid);
    for (sub, auto, uuid, derive) in [
        (USER, Ok(USER), Ok(USER), Ok(DERIVED)),
        ("ada@example.com", Ok(ADA), not_uuid, Ok(ADA)),
        // Elsewhere the id of a user, here the one that Ada has.
        (
            ADA,
            Ok(ADA),
            Ok(ADA),
            Ok("05d9ae9b-9c51-058d-ae33-a880186d23dc"),
        ),
        // Nothing is trimmed.
        (
            "  padded ",
            Ok("cf275617-cfe4-0963-9c02-82b0cccbd6ca"),
            not_uuid,
            Ok("cf275617-cfe4-0963-9c02-82b0cccbd6ca"),
        ),
    ] {
        for (rule, expected) in [(Auto, auto), (Uuid, uuid), (Derive, derive)] {
            let expected = expected.map(str::to_owned);
            assert_eq!(with_sub(rule, &json!(sub)), expected, "{rule:?} {sub}");
        }
    }
    let upper = with_sub(Auto, &json!(USER.to_uppercase()));
    assert_eq!(upper.as_deref(), Ok(USER));
}

#[test]
fn the_issuer_and_the_audience_must_be_accepted_ones() {
    let names = |list: &[&str]| list.iter().map(|&it| it.to_owned()).collect();
    let verdict = |issuers: &[&str], audiences: &[&str], more: Value| {
        let mut claims = claims();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let rules = ClaimRules {
            issuers: names(issuers),
            audiences: names(audiences),
            ..ClaimRules::default()
        };
        let token = signed(&json!({"alg": "HS256"}), &claims, SECRET);
        verify_by(rules, &token).map(drop)
    };
    let issued = |iss: Value| verdict(&["a", "b"], &[], json!({ "iss": iss }));
    assert_eq!(issued(json!("a")), Ok(()));
    assert_eq!(issued(json!("b")), Ok(()));
    for iss in [
        json!("c"),
        json!(""),
        json!("A"),
        json!(null),
        json!(["a"]),
        json!(1),
    ] {
        assert_eq!(issued(iss.clone()), Err(InvalidJwt::WrongIssuer), "{iss}");
    }
    assert_eq!(
        verdict(&["a"], &[], json!({})),
        Err(InvalidJwt::WrongIssuer)
    );

    let meant = |aud: Value| verdict(&[], &["x", "y"], json!({ "aud": aud }));
    for aud in [json!("x"), json!(["y"]), json!(["z", "x"]), json!([1, "x"])] {
        assert_eq!(meant(aud.clone()), Ok(()), "{aud}");
    }
    for aud in [
        json!("z"),
        json!([]),
        json!(["z"]),
        json!({"x": "x"}),
        json!(null),
    ] {
        assert_eq!(meant(aud.clone()), Err(InvalidJwt::WrongAudience), "{aud}");
    }
    assert_eq!(
        verdict(&[], &["x"], json!({})),
        Err(InvalidJwt::WrongAudience)
    );
    let both = json!({"iss": "a", "aud": ["x"]});
    assert_eq!(verdict(&["a"], &["x"], both), Ok(()));
    // Without a rule, any value is accepted.
    assert_eq!(verdict(&[], &[], json!({"iss": 1, "aud": {}})), Ok(()));
}

#[test]
fn a_claim_that_is_there_twice_is_refused() {
    let header = BASE64.encode(r#"{"alg":"HS256"}"#);
    let claims = format!(r#"{{"sub":"ada","sub":"eve","exp":{}}}"#, NOW.0 / 1000 + 60);
    let message = format!("{header}.{}", BASE64.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let token = format!("{message}.{}", BASE64.encode(mac.finalize().into_bytes()));
    assert_eq!(verify(&token), Err(InvalidJwt::Unsigned));
}

#[test]
fn a_verifier_does_not_show_its_key() {
    let verifier = JwtVerifier::new(&SecretString::from(SECRET), ClaimRules::default());
    assert!(!format!("{verifier:?}").contains("secret of"));
}

#[test]
fn an_issued_token_identifies_its_user_until_it_expires() {
    let rules = |subject| ClaimRules {
        issuers: vec!["https://a.example".into(), "b".into()],
        audiences: vec!["chat".into(), "other".into()],
        subject,
    };
    let key = SecretString::from(SECRET);
    for (subject, rule) in [
        (USER, SubjectRule::Auto),
        ("ada", SubjectRule::Auto),
        (USER, SubjectRule::Uuid),
        (USER, SubjectRule::Derive),
    ] {
        let rules = rules(rule);
        let issued = issue(&key, &rules, subject, NOW, Duration::from_mins(1)).unwrap();
        let verify = |at| {
            let verifier = JwtVerifier::new(&key, rules.clone());
            verifier.verify(issued.token.expose_secret().as_bytes(), at)
        };
        assert_eq!(verify(NOW), Ok(issued.user));
        assert_eq!(issued.expires_at, NOW + Millis(60_000));
        let leeway = Millis(5_000);
        let last = issued.expires_at + leeway - Millis(1);
        assert_eq!(verify(last), Ok(issued.user));
        let expired = verify(issued.expires_at + leeway);
        assert_eq!(expired, Err(InvalidJwt::Expired));
        let strict = ClaimRules {
            issuers: vec!["b".into()],
            ..ClaimRules::default()
        };
        let token = issued.token.expose_secret();
        assert_eq!(verify_by(strict, token), Err(InvalidJwt::WrongIssuer));
    }
}

#[test]
fn no_token_is_issued_that_the_same_rules_refuse() {
    let issue = |subject: &str, rule| {
        let rules = ClaimRules {
            subject: rule,
            ..ClaimRules::default()
        };
        let key = SecretString::from(SECRET);
        issue(&key, &rules, subject, NOW, Duration::from_secs(1)).unwrap_err()
    };
    assert_eq!(issue(" ", SubjectRule::Auto), InvalidJwt::InvalidSubject);
    assert_eq!(
        issue(&"x".repeat(256), SubjectRule::Derive),
        InvalidJwt::InvalidSubject
    );
    assert_eq!(issue("ada", SubjectRule::Uuid), InvalidJwt::SubjectNotUuid);
}
