//! Addresses of servers as logs and operators may see them.

use reqwest::Url;

/// Returns whether an address has a user name or a password in it.
pub(crate) fn has_user_information(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Returns the scheme, host, port and path of an address. User information and the query are left
/// out: they may be secrets.
pub(crate) fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for an address without a host, which has no user information either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// Returns whether an address has no path.
pub(crate) fn has_no_path(url: &Url) -> bool {
    url.path().trim_matches('/').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_secrets() {
        for (address, shown) in [
            ("http://h", "http://h"),
            ("http://h:80/v1/", "http://h/v1"),
            ("https://u:p@h:8443/v1?key=k#f", "https://h:8443/v1"),
            ("https://token@h/v1", "https://h/v1"),
        ] {
            let url = Url::parse(address).unwrap();
            assert_eq!(without_secrets(&url), shown);
            assert_eq!(has_user_information(&url), address.contains('@'));
        }
    }

    #[test]
    fn a_slash_is_not_a_path() {
        for (address, expected) in [
            ("http://h", true),
            ("http://h//", true),
            ("http://h/v1", false),
        ] {
            assert_eq!(
                has_no_path(&Url::parse(address).unwrap()),
                expected,
                "{address}"
            );
        }
    }
}
