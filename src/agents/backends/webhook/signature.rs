//! The signatures of a webhook's calls.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use crate::domain::id::TurnId;
use crate::domain::time::Timestamp;

/// The signature of the body.
const BODY_SIGNATURE: &str = "X-Sessiond-Signature";

/// The headers of the Standard Webhooks specification.
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Begins a secret whose rest is a key in base64.
const KEY_PREFIX: &str = "whsec_";

/// Generators of secrets write them with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Signs calls with the secret of a webhook.
#[derive(Debug)]
pub(super) struct Signer {
    /// Its key is the secret as it stands.
    body: Hmac<Sha256>,
    standard: Hmac<Sha256>,
}

/// The secret begins with `whsec_` and has no key in base64 after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidSecret;

impl Signer {
    pub(super) fn new(secret: &SecretString) -> Result<Self, InvalidSecret> {
        let secret = secret.expose_secret();
        let body = with_key(secret.as_bytes())?;
        let standard = match secret.strip_prefix(KEY_PREFIX) {
            None => body.clone(),
            Some(key) => with_key(&BASE64.decode(key).map_err(|_| InvalidSecret)?)?,
        };
        Ok(Self { body, standard })
    }
}

fn with_key(key: &[u8]) -> Result<Hmac<Sha256>, InvalidSecret> {
    if key.is_empty() {
        return Err(InvalidSecret);
    }
    Hmac::new_from_slice(key).map_err(|_| InvalidSecret)
}

/// Returns the headers of a call: its id, its time and, with a signer, its signatures.
pub(super) fn headers(
    signer: Option<&Signer>,
    turn: TurnId,
    at: Timestamp,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let id = turn.to_string();
    let timestamp = at.0.div_euclid(1000).to_string();
    let mut headers = vec![(ID, id.clone()), (TIMESTAMP, timestamp.clone())];
    if let Some(signer) = signer {
        let digest = signer.body.clone().chain_update(body).finalize();
        let signature = format!("sha256={}", hex::encode(digest.into_bytes()));
        headers.push((BODY_SIGNATURE, signature));

        let hmac = signer.standard.clone();
        let hmac = hmac.chain_update(format!("{id}.{timestamp}."));
        let digest = hmac.chain_update(body).finalize();
        let digest = BASE64.encode(digest.into_bytes());
        headers.push((SIGNATURE, format!("v1,{digest}")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rstest::rstest;

    use super::*;

    fn signed(secret: &str, at: i64, body: &str) -> HashMap<&'static str, String> {
        let signer = Signer::new(&secret.into()).unwrap();
        let at = Timestamp(at);
        let headers = headers(Some(&signer), TurnId::from(1), at, body.as_bytes());
        headers.into_iter().collect()
    }

    #[test]
    fn the_signature_of_the_body_matches_rfc_4231() {
        // RFC 4231, test case 2.
        let headers = signed("Jefe", 0, "what do ya want for nothing?");
        assert_eq!(
            headers[BODY_SIGNATURE],
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[rstest]
    #[case::text("key of the call", "v1,qeVrzjkGzdFwCyISXXuuOZN6yKKHfoIPtfLBcnbQd2E=")]
    #[case::base64(
        "whsec_a2V5IG9mIHRoZSBjYWxs",
        "v1,qeVrzjkGzdFwCyISXXuuOZN6yKKHfoIPtfLBcnbQd2E="
    )]
    fn the_standard_signature_is_of_id_time_and_body(#[case] secret: &str, #[case] expected: &str) {
        // The time is in whole seconds.
        let headers = signed(secret, 1_704_067_200_999, r#"{"a":1}"#);
        assert_eq!(headers[ID], "00000000-0000-0000-0000-000000000001");
        assert_eq!(headers[TIMESTAMP], "1704067200");
        assert_eq!(headers[SIGNATURE], expected);
    }

    #[test]
    fn padding_of_the_key_makes_no_difference() {
        let of = |secret| signed(secret, 0, "")[SIGNATURE].clone();
        assert_eq!(of("whsec_aGVsbG8"), of("whsec_aGVsbG8="));
        assert_eq!(of("whsec_aGVsbG8"), of("hello"));
    }

    #[test]
    fn without_a_signer_there_is_no_signature() {
        let headers = headers(None, TurnId::from(1), Timestamp(1000), b"");
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["webhook-id", "webhook-timestamp"]);
    }

    #[rstest]
    #[case::empty("whsec_")]
    #[case::padding_only("whsec_=")]
    #[case::not_base64("whsec_not base64")]
    #[case::url_alphabet("whsec_ab-_")]
    #[case::line_break("whsec_aGVsbG8=\n")]
    #[case::cut("whsec_aGVsb")]
    fn a_secret_that_announces_a_key_has_one(#[case] secret: &str) {
        assert_eq!(Signer::new(&secret.into()).unwrap_err(), InvalidSecret);
    }

    #[test]
    fn a_signer_does_not_show_its_key() {
        let signer = Signer::new(&"Jefe".into()).unwrap();
        assert_eq!(format!("{signer:?}").matches("Jefe").count(), 0);
    }
}
