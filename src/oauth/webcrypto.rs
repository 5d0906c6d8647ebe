//! The names that WebCrypto has for the algorithms of signatures.

use crate::oauth::jwks::Algorithm;
use crate::prelude::*;

/// The parameters for importing a key and for verifying and signing with it, as JSON. Each algorithm reads the members
/// that concern it (Web Cryptography API 20-25).
pub(crate) fn parameters(algorithm: Algorithm) -> String {
    let name = match algorithm {
        Algorithm::Es256 => "ECDSA",
        Algorithm::Rs256 => "RSASSA-PKCS1-v1_5",
        Algorithm::Ps256 => "RSA-PSS",
        #[cfg(feature = "extended")]
        Algorithm::EdDsa => "Ed25519",
        #[cfg(feature = "extended")]
        Algorithm::Es384 | Algorithm::Es512 => "ECDSA",
        #[cfg(feature = "extended")]
        Algorithm::Rs384 | Algorithm::Rs512 => "RSASSA-PKCS1-v1_5",
        #[cfg(feature = "extended")]
        Algorithm::Ps384 | Algorithm::Ps512 => "RSA-PSS",
    };
    let sizes = match algorithm {
        #[cfg(feature = "extended")]
        Algorithm::Es384 | Algorithm::Rs384 | Algorithm::Ps384 => {
            r#"","hash":"SHA-384","namedCurve":"P-384","saltLength":48}"#
        }
        #[cfg(feature = "extended")]
        Algorithm::Es512 | Algorithm::Rs512 | Algorithm::Ps512 => {
            r#"","hash":"SHA-512","namedCurve":"P-521","saltLength":64}"#
        }
        _ => r#"","hash":"SHA-256","namedCurve":"P-256","saltLength":32}"#,
    };
    [r#"{"name":""#, name, sizes].concat()
}
