//! The three signature algorithms that nearly all providers use. A build without the Cargo feature `extended` supports
//! only these algorithms.

use super::{KeyKind, P256, RSA};
use crate::oauth::pkce;
use crate::prelude::*;

/// End of the message about an ID token whose algorithm is not accepted.
pub(crate) const NOT_ALLOWED: &str = msg!(
    ", which is not one of RS256, PS256 and ES256 that the provider announces; if it is RS384, RS512, PS384, PS512, ES384, ES512 or EdDSA, name it in idTokenSignedResponseAlg in the worker's file"
);

/// End of the message about a provider that announces only algorithms that this build does not support.
pub(crate) const NONE_SUPPORTED: &str = msg!(
    " contains none of RS256, PS256 and ES256; name another one in idTokenSignedResponseAlg, for which strongroom_extended_bg.wasm is loaded"
);

/// A signature algorithm that this crate accepts (RFC 7518 section 3.1, RFC 8037, RFC 9864).
///
/// A build with the Cargo feature `extended` accepts all signature algorithms of WebCrypto except HMAC. All accepted
/// algorithms are asymmetric: a public client shares no secret with the issuer, so it cannot verify an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes.
    Ps256,
}

pub(super) static KINDS: [&KeyKind; 2] = [&P256, &RSA];

/// The algorithms in the order of the enum, each with its name and kind of key.
pub(super) static ALGORITHMS: [(Algorithm, &str, &KeyKind); 3] = [
    (Algorithm::Es256, "ES256", &P256),
    (Algorithm::Rs256, "RS256", &RSA),
    (Algorithm::Ps256, "PS256", &RSA),
];

impl Algorithm {
    /// Every algorithm that this build accepts.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Rs256, Self::Ps256];

    /// Returns the hash of `bytes` by the algorithm's hash function, for `at_hash` (OIDC Core 3.1.3.8).
    pub(crate) fn hash(self, bytes: &[u8]) -> [u8; 32] {
        pkce::sha256(bytes)
    }

    /// Returns, as JSON, the parameters with which WebCrypto imports a key of this algorithm, verifies and signs.
    /// WebCrypto reads only the members that the algorithm needs (Web Cryptography API 20-25).
    #[must_use]
    pub fn webcrypto_parameters(self) -> String {
        let name = match self {
            Self::Es256 => "ECDSA",
            Self::Rs256 => "RSASSA-PKCS1-v1_5",
            Self::Ps256 => "RSA-PSS",
        };
        let sizes = r#"","hash":"SHA-256","namedCurve":"P-256","saltLength":32}"#;
        [r#"{"name":""#, name, sizes].concat()
    }
}
