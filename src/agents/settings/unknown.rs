//! Advice about fields that a backend does not have.

/// Names at most this many edits apart count as misspelt.
const MAX_DISTANCE: usize = 2;

/// Names for a secret itself, in lower case and without other characters than letters.
const SECRETS: [&str; 11] = [
    "accesstoken",
    "apikey",
    "apitoken",
    "authorization",
    "authtoken",
    "key",
    "password",
    "secret",
    "secretkey",
    "secrets",
    "token",
];

/// Returns what to do about a field of this name, in a backend that has the fields `own` and
/// `common`.
pub(super) fn advice(name: &str, own: &[&'static str], common: &[&'static str]) -> String {
    let known = || own.iter().chain(common).copied();
    if let Some(similar) = most_similar(name, known()) {
        return format!("did you mean {similar}?");
    }
    if !is_secret(name) {
        return format!("expected one of {}", known().collect::<Vec<_>>().join(", "));
    }
    match own.iter().find(|name| name.ends_with("Env")) {
        Some(field) => format!(
            "secrets do not belong in character files: set a variable, and name it with {field}"
        ),
        None => "remove it: secrets do not belong in character files".into(),
    }
}

fn most_similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distances = known.map(|it| (strsim::levenshtein(&it.to_ascii_lowercase(), &name), it));
    let near = distances.filter(|(distance, _)| *distance <= MAX_DISTANCE);
    near.min().map(|(_, similar)| similar)
}

fn is_secret(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    let letters: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    SECRETS.contains(&letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_and_secrets_are_recognised() {
        let own = ["baseUrl", "apiKeyEnv", "maxTokens"];
        let common = ["type", "timeoutSeconds"];
        for (name, said) in [
            ("timeoutSecond", "did you mean timeoutSeconds?"),
            ("TIMEOUTSECONDS", "did you mean timeoutSeconds?"),
            ("baseURI", "did you mean baseUrl?"),
            ("maxToken", "did you mean maxTokens?"),
            ("apikeyenv", "did you mean apiKeyEnv?"),
            (
                "foo",
                "expected one of baseUrl, apiKeyEnv, maxTokens, type, timeoutSeconds",
            ),
        ] {
            assert_eq!(advice(name, &own, &common), said);
        }
        for name in [
            "apiKey",
            "api_key",
            "API-KEY",
            "token",
            "secret",
            "Authorization",
        ] {
            let said = advice(name, &own, &common);
            assert!(said.ends_with("name it with apiKeyEnv"), "{name}: {said}");
        }
        assert!(advice("apiKey", &[], &common).starts_with("remove it"));
    }
}
