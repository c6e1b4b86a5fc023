//! What is said of a field that a backend does not have.

/// How many characters of a field's name may be wrong for it to be known again.
const MAX_DISTANCE: usize = 2;

/// How people call a field for the secret itself, in small letters and nothing else.
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

/// What to do about a field of this name, where a backend has these of its own and those in common
/// with all others.
pub(super) fn advice(name: &str, own: &[&'static str], common: &[&'static str]) -> String {
    let known = || own.iter().chain(common).copied();
    if let Some(meant) = meant_by(name, known()) {
        return format!("did you mean {meant}?");
    }
    if is_secret(name) {
        return of_a_secret(own);
    }
    format!("allowed is {}", known().collect::<Vec<_>>().join(", "))
}

/// The field that a name was meant to be, if it is nearly one.
fn meant_by<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distances = known.map(|it| (strsim::levenshtein(&it.to_ascii_lowercase(), &name), it));
    let near = distances.filter(|(distance, _)| *distance <= MAX_DISTANCE);
    near.min().map(|(_, meant)| meant)
}

/// Whether a field has the name of a secret.
fn is_secret(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    let letters: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    SECRETS.contains(&letters.as_str())
}

/// What to do with a secret that stands in the file itself, with a backend of these fields.
fn of_a_secret(own: &[&str]) -> String {
    let named_by = own.iter().find(|name| name.ends_with("Env"));
    named_by.map_or_else(
        || "take it out: secrets do not stand in character files".into(),
        |field| {
            format!(
                "secrets do not stand in character files: put it into a variable, and name that \
                 with {field}"
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_known_again_and_a_secret_as_one() {
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
                "allowed is baseUrl, apiKeyEnv, maxTokens, type, timeoutSeconds",
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
            assert!(said.ends_with("name that with apiKeyEnv"), "{name}: {said}");
        }
        assert!(advice("apiKey", &[], &common).starts_with("take it out"));
    }
}
