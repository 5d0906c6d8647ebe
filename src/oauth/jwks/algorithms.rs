//! All asymmetric signature algorithms of WebCrypto. A build without the capability `Algorithms` accepts only the first
//! three, which nearly all providers use.

use super::{KeyKind, P256, RSA, all_of};
use crate::base::capability;
use crate::base::digest::{sha256, sha384, sha512};
use crate::codec::base64url;
use crate::prelude::*;

/// True if this build accepts all algorithms.
const HAS_ALL: bool = capability::Algorithms::WITNESS.is_some();

/// End of the message about an ID token whose algorithm is not accepted.
pub(crate) const NOT_ALLOWED: &str = if HAS_ALL {
    msg!(", which neither the provider's metadata nor idTokenSignedResponseAlg allows")
} else {
    msg!(
        ", which is not one of RS256, PS256 and ES256 that the provider announces; if it is RS384, RS512, PS384, PS512, ES384, ES512 or EdDSA, name it in idTokenSignedResponseAlg in the worker's file"
    )
};

/// End of the message about a provider that announces only algorithms that this build does not support.
pub(crate) const NONE_SUPPORTED: &str = if HAS_ALL {
    msg!(
        " contains none of ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512 and EdDSA"
    )
} else {
    msg!(
        " contains none of RS256, PS256 and ES256; name another one in idTokenSignedResponseAlg, for which strongroom_extended_bg.wasm is loaded"
    )
};

/// A signature algorithm that this crate accepts (RFC 7518 section 3.1, RFC 8037, RFC 9864).
///
/// These are all signature algorithms of WebCrypto except HMAC. All of them are asymmetric: a public client shares no
/// secret with the issuer, so it cannot verify an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// Ed25519, under its name `Ed25519` or the older `EdDSA`.
    EdDsa,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes.
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512 and a salt of 64 bytes.
    Ps512,
}

static P384: KeyKind = KeyKind {
    kty: "EC",
    crv: "P-384",
    members: &["x", "y"],
    check: all_of::<48>,
};
static P521: KeyKind = KeyKind {
    kty: "EC",
    crv: "P-521",
    members: &["x", "y"],
    check: all_of::<66>,
};
static ED25519: KeyKind = KeyKind {
    kty: "OKP",
    crv: "Ed25519",
    members: &["x"],
    check: all_of::<32>,
};

pub(super) static KINDS: [&KeyKind; if HAS_ALL { 5 } else { 2 }] =
    first(&[&P256, &RSA, &ED25519, &P384, &P521]);

/// The algorithms in the order of the enum, each with its name and kind of key. Alternative names follow at the end.
pub(super) static ALGORITHMS: [(Algorithm, &str, &KeyKind); if HAS_ALL { 11 } else { 3 }] =
    first(&[
        (Algorithm::Es256, "ES256", &P256),
        (Algorithm::Rs256, "RS256", &RSA),
        (Algorithm::Ps256, "PS256", &RSA),
        (Algorithm::EdDsa, "EdDSA", &ED25519),
        (Algorithm::Es384, "ES384", &P384),
        (Algorithm::Es512, "ES512", &P521),
        (Algorithm::Rs384, "RS384", &RSA),
        (Algorithm::Rs512, "RS512", &RSA),
        (Algorithm::Ps384, "PS384", &RSA),
        (Algorithm::Ps512, "PS512", &RSA),
        (Algorithm::EdDsa, "Ed25519", &ED25519),
    ]);

/// Returns the first items. What only the other items contain is not in the module.
const fn first<T: Copy, const N: usize>(items: &[T]) -> [T; N] {
    let mut first = [items[0]; N];
    let mut i = 1;
    while i < N {
        first[i] = items[i];
        i += 1;
    }
    first
}

impl Algorithm {
    /// Every algorithm that this build accepts.
    pub const ALL: [Self; if HAS_ALL { 10 } else { 3 }] = first(&[
        Self::Es256,
        Self::Rs256,
        Self::Ps256,
        Self::EdDsa,
        Self::Es384,
        Self::Es512,
        Self::Rs384,
        Self::Rs512,
        Self::Ps384,
        Self::Ps512,
    ]);

    /// Returns `at_hash` for an access token: the left half of its hash by the algorithm's hash function (OIDC Core
    /// 3.1.3.8).
    pub(crate) fn at_hash(self, access_token: &[u8]) -> String {
        match self {
            Self::Es384 | Self::Rs384 | Self::Ps384 if HAS_ALL => {
                base64url::encode(&sha384(access_token)[..24])
            }
            // Ed25519 uses SHA-512 (RFC 8032 5.1).
            Self::EdDsa | Self::Es512 | Self::Rs512 | Self::Ps512 if HAS_ALL => {
                base64url::encode(&sha512(access_token)[..32])
            }
            _ => base64url::encode(&sha256(access_token)[..16]),
        }
    }

    /// Returns, as JSON, the parameters with which WebCrypto imports a key of this algorithm, verifies and signs.
    /// WebCrypto reads only the members that the algorithm needs (Web Cryptography API 20-25).
    #[must_use]
    pub fn webcrypto_parameters(self) -> String {
        let name = match self {
            Self::Es256 | Self::Es384 | Self::Es512 => "ECDSA",
            Self::Rs256 | Self::Rs384 | Self::Rs512 => "RSASSA-PKCS1-v1_5",
            Self::EdDsa if HAS_ALL => "Ed25519",
            _ => "RSA-PSS",
        };
        let sizes = match self {
            Self::Es384 | Self::Rs384 | Self::Ps384 if HAS_ALL => {
                r#"","hash":"SHA-384","namedCurve":"P-384","saltLength":48}"#
            }
            Self::Es512 | Self::Rs512 | Self::Ps512 if HAS_ALL => {
                r#"","hash":"SHA-512","namedCurve":"P-521","saltLength":64}"#
            }
            _ => r#"","hash":"SHA-256","namedCurve":"P-256","saltLength":32}"#,
        };
        [r#"{"name":""#, name, sizes].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;
    use crate::codec::json::Value;

    #[test]
    fn webcrypto_parameters_fit_each_algorithm() {
        for alg in Algorithm::ALL {
            let parameters = Value::parse(&alg.webcrypto_parameters()).unwrap();
            let parameters = parameters.as_object().unwrap();
            let text = |name| parameters.get(name).and_then(Value::as_str).unwrap();
            let name = match &alg.name()[..2] {
                "ES" => "ECDSA",
                "RS" => "RSASSA-PKCS1-v1_5",
                "PS" => "RSA-PSS",
                _ => "Ed25519",
            };
            assert_eq!(text("name"), name, "{alg:?}");
            // Ed25519 needs no other member.
            let Ok(bits) = alg.name()[2..].parse::<u64>() else {
                continue;
            };
            let curve = if bits == 512 { 521 } else { bits };
            assert_eq!(text("hash"), format!("SHA-{bits}"), "{alg:?}");
            assert_eq!(text("namedCurve"), format!("P-{curve}"), "{alg:?}");
            let salt = parameters.get("saltLength").and_then(Value::as_u64);
            assert_eq!(salt, Some(bits / 8), "{alg:?}");
        }
    }
}
