//! HMAC as the cryptography of the JWT library.

use std::sync::Once;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier as Verify, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use sha2::{Sha256, Sha384, Sha512};

/// Installs HMAC as the library's only cryptography. Its own providers depend on the `rsa` crate,
/// which has known weaknesses.
pub(super) fn install_hmac() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    // It fails only if a provider was installed before.
    ONCE.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library defines the type"
)]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn Verify>, Error> {
    let key = key.try_get_as_bytes()?;
    match algorithm {
        Algorithm::HS256 => HmacVerifier::<Hmac<Sha256>>::boxed(*algorithm, key),
        Algorithm::HS384 => HmacVerifier::<Hmac<Sha384>>::boxed(*algorithm, key),
        Algorithm::HS512 => HmacVerifier::<Hmac<Sha512>>::boxed(*algorithm, key),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

struct HmacVerifier<M> {
    algorithm: Algorithm,
    mac: M,
}

impl<M: Mac + KeyInit + Clone + 'static> HmacVerifier<M> {
    fn boxed(algorithm: Algorithm, key: &[u8]) -> Result<Box<dyn Verify>, Error> {
        let mac = <M as KeyInit>::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat)?;
        Ok(Box::new(Self { algorithm, mac }))
    }
}

impl<M: Mac + Clone> signature::Verifier<Vec<u8>> for HmacVerifier<M> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.mac.clone();
        mac.update(message);
        // This takes constant time.
        mac.verify_slice(signature)
            .map_err(|_| signature::Error::new())
    }
}

impl<M: Mac + Clone> Verify for HmacVerifier<M> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct HmacSigner(Hmac<Sha256>);

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the library defines the type"
)]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if *algorithm != Algorithm::HS256 {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.as_bytes());
    let mac = mac.map_err(|_| ErrorKind::InvalidKeyFormat)?;
    Ok(Box::new(HmacSigner(mac)))
}

impl signature::Signer<Vec<u8>> for HmacSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mac = self.0.clone().chain_update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl JwtSigner for HmacSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
