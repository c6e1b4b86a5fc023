//! Bodies that never change, compressed once instead of for each request.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A body, and its compressed form if that is shorter.
#[derive(Debug, Clone)]
pub(super) struct Precompressed {
    identity: Bytes,
    gzip: Option<Bytes>,
}

impl Precompressed {
    pub(super) fn new(identity: Bytes) -> Self {
        Self {
            gzip: gzip(&identity),
            identity,
        }
    }

    /// Returns the body in a coding that the client accepts.
    pub(super) fn respond(&self, request: &HeaderMap, content_type: &'static str) -> Response {
        let content_type = [(header::CONTENT_TYPE, content_type)];
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(request));
        let mut response = match gzip {
            Some(gzip) => {
                let coding = [(header::CONTENT_ENCODING, "gzip")];
                (content_type, coding, Body::from(gzip.clone())).into_response()
            }
            None => (content_type, Body::from(self.identity.clone())).into_response(),
        };
        vary(response.headers_mut());
        response
    }
}

pub(super) fn vary(headers: &mut HeaderMap) {
    let accept_encoding = HeaderValue::from_static("accept-encoding");
    headers.append(header::VARY, accept_encoding);
}

/// Returns whether the client accepts gzip by name, with a weight above 0.
pub(super) fn accepts_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !is_zero_weight(parameters)
    })
}

fn is_zero_weight(parameters: &str) -> bool {
    let mut weights = parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().strip_prefix("q="));
    weights.any(|weight| weight.trim().parse() == Ok(0.0))
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < bytes.len()).then(|| compressed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_by_name_and_positive_weight() {
        for (accepted, is_accepted) in [
            ("gzip", true),
            ("br, GZIP", true),
            ("gzip;q=0.5, *;q=0", true),
            ("gzip; q=1", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("identity", false),
            ("*", false),
            ("identity;q=0", false),
            ("", false),
        ] {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(accepts_gzip(&request), is_accepted, "{accepted:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
