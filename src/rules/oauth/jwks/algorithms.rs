//! All asymmetric signature algorithms of WebCrypto.

use super::{KeyKind, P256, RSA, all_of};
use crate::base::digest::{sha256, sha384, sha512};
use crate::codec::base64url;
use crate::prelude::*;

/// End of the message about an ID token whose algorithm is not accepted.
pub(crate) const NOT_ALLOWED: &str = msg!(
    ": only the algorithm in idTokenSignedResponseAlg is accepted, or without this option those in the provider's metadata"
);

/// End of the message about a provider that announces only algorithms that this crate does not accept.
pub(crate) const NONE_SUPPORTED: &str = msg!(
    " contains none of ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA and Ed25519"
);

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

pub(super) static KINDS: [&KeyKind; 5] = [&P256, &RSA, &ED25519, &P384, &P521];

/// The algorithms in the order of the enum, each with its name and kind of key. Alternative names follow at the end.
pub(super) static ALGORITHMS: [(Algorithm, &str, &KeyKind); 11] = [
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
];

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 10] = [
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
    ];

    /// Returns `at_hash` for an access token: the left half of its hash by the algorithm's hash function (OIDC Core
    /// 3.1.3.8).
    pub(crate) fn at_hash(self, access_token: &[u8]) -> String {
        match self {
            Self::Es384 | Self::Rs384 | Self::Ps384 => {
                base64url::encode(&sha384(access_token)[..24])
            }
            // Ed25519 uses SHA-512 (RFC 8032 5.1).
            Self::EdDsa | Self::Es512 | Self::Rs512 | Self::Ps512 => {
                base64url::encode(&sha512(access_token)[..32])
            }
            Self::Es256 | Self::Rs256 | Self::Ps256 => {
                base64url::encode(&sha256(access_token)[..16])
            }
        }
    }

    /// Returns, as JSON, the parameters with which WebCrypto imports a key of this algorithm, verifies and signs.
    /// WebCrypto reads only the members that the algorithm needs (Web Cryptography API 20-25).
    #[must_use]
    pub fn webcrypto_parameters(self) -> String {
        let name = match self {
            Self::Es256 | Self::Es384 | Self::Es512 => "ECDSA",
            Self::Rs256 | Self::Rs384 | Self::Rs512 => "RSASSA-PKCS1-v1_5",
            Self::Ps256 | Self::Ps384 | Self::Ps512 => "RSA-PSS",
            Self::EdDsa => "Ed25519",
        };
        let sizes = match self {
            Self::Es384 | Self::Rs384 | Self::Ps384 => {
                r#"","hash":"SHA-384","namedCurve":"P-384","saltLength":48}"#
            }
            Self::Es512 | Self::Rs512 | Self::Ps512 => {
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
