//! One key, one algorithm, chosen from the issuer's own key set (RFC 7517, RFC 8725 section 3.1).
//!
//! A key that this crate cannot or must not verify with is left out of the set, so that a provider
//! may publish others beside it: symmetric and private keys, keys for encryption, short RSA keys,
//! unknown curves. A token's `kid` picks among the rest; it is compared and used for nothing else.

use crate::codec::base64url;
use crate::codec::json::{Object, Value, Writer};
use crate::prelude::*;
use crate::{Code, Error, Result};

/// A longer key set is refused, in bytes.
pub const MAX_LEN: usize = 256 * 1024;

/// A set of more keys is refused, usable or not.
pub const MAX_KEYS: usize = 100;

/// RSA moduli: RFC 7518 section 3.3 asks for 2048 bits or more; the upper limit bounds the work.
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=16384;

/// A signature algorithm that this crate accepts (RFC 7518 section 3.1, RFC 8037, RFC 9864): all that
/// WebCrypto verifies, of which the smaller module for browsers knows the first three.
///
/// All are asymmetric: an HMAC cannot come from an issuer that shares no secret with a public client.
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
    #[cfg(feature = "extended")]
    EdDsa,
    /// ECDSA on P-384 with SHA-384.
    #[cfg(feature = "extended")]
    Es384,
    /// ECDSA on P-521 with SHA-512.
    #[cfg(feature = "extended")]
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[cfg(feature = "extended")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[cfg(feature = "extended")]
    Rs512,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes.
    #[cfg(feature = "extended")]
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512 and a salt of 64 bytes.
    #[cfg(feature = "extended")]
    Ps512,
}

/// How many algorithms there are.
const COUNT: usize = if cfg!(feature = "extended") { 10 } else { 3 };

/// A kind of public key: which members of the JWK carry it and how long they are.
struct KeyKind {
    kty: &'static str,
    /// Empty where the key type has no curves.
    crv: &'static str,
    /// In the order in which [`Jwk::public_json`] has them.
    members: &'static [&'static str],
    check: fn(&[Vec<u8>]) -> bool,
}

// That a point lies on its curve (RFC 8725 section 3.4) is for the host's importKey to check.
static P256: KeyKind = KeyKind {
    kty: "EC",
    crv: "P-256",
    members: &["x", "y"],
    check: all_of::<32>,
};
#[cfg(feature = "extended")]
static P384: KeyKind = KeyKind {
    kty: "EC",
    crv: "P-384",
    members: &["x", "y"],
    check: all_of::<48>,
};
#[cfg(feature = "extended")]
static P521: KeyKind = KeyKind {
    kty: "EC",
    crv: "P-521",
    members: &["x", "y"],
    check: all_of::<66>,
};
#[cfg(feature = "extended")]
static ED25519: KeyKind = KeyKind {
    kty: "OKP",
    crv: "Ed25519",
    members: &["x"],
    check: all_of::<32>,
};
static RSA: KeyKind = KeyKind {
    kty: "RSA",
    crv: "",
    members: &["n", "e"],
    check: is_sound_rsa,
};

static KINDS: [&KeyKind; if cfg!(feature = "extended") { 5 } else { 2 }] = [
    &P256,
    &RSA,
    #[cfg(feature = "extended")]
    &ED25519,
    #[cfg(feature = "extended")]
    &P384,
    #[cfg(feature = "extended")]
    &P521,
];

/// The algorithms in their order, each with its name and the kind of key that goes with it; second names
/// come behind.
static ALGORITHMS: [(Algorithm, &str, &KeyKind); COUNT + cfg!(feature = "extended") as usize] = [
    (Algorithm::Es256, "ES256", &P256),
    (Algorithm::Rs256, "RS256", &RSA),
    (Algorithm::Ps256, "PS256", &RSA),
    #[cfg(feature = "extended")]
    (Algorithm::EdDsa, "EdDSA", &ED25519),
    #[cfg(feature = "extended")]
    (Algorithm::Es384, "ES384", &P384),
    #[cfg(feature = "extended")]
    (Algorithm::Es512, "ES512", &P521),
    #[cfg(feature = "extended")]
    (Algorithm::Rs384, "RS384", &RSA),
    #[cfg(feature = "extended")]
    (Algorithm::Rs512, "RS512", &RSA),
    #[cfg(feature = "extended")]
    (Algorithm::Ps384, "PS384", &RSA),
    #[cfg(feature = "extended")]
    (Algorithm::Ps512, "PS512", &RSA),
    #[cfg(feature = "extended")]
    (Algorithm::EdDsa, "Ed25519", &ED25519),
];

impl Algorithm {
    /// Every algorithm that this crate accepts.
    pub const ALL: [Self; COUNT] = [
        Self::Es256,
        Self::Rs256,
        Self::Ps256,
        #[cfg(feature = "extended")]
        Self::EdDsa,
        #[cfg(feature = "extended")]
        Self::Es384,
        #[cfg(feature = "extended")]
        Self::Es512,
        #[cfg(feature = "extended")]
        Self::Rs384,
        #[cfg(feature = "extended")]
        Self::Rs512,
        #[cfg(feature = "extended")]
        Self::Ps384,
        #[cfg(feature = "extended")]
        Self::Ps512,
    ];

    /// The algorithm called `name`, which is case-sensitive (RFC 7515 section 4.1.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        ALGORITHMS
            .iter()
            .find_map(|&(algorithm, known, _)| (known == name).then_some(algorithm))
    }

    /// The name in the registry of RFC 7518 section 7.1.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The hash that goes with it: the ID token's `at_hash` is half of one (OIDC Core 3.1.3.8).
    #[cfg(feature = "extended")]
    pub(crate) fn hash(self, bytes: &[u8]) -> Vec<u8> {
        use crate::base::digest::{sha256, sha384, sha512};
        match self {
            Self::Es256 | Self::Rs256 | Self::Ps256 => sha256(bytes).to_vec(),
            Self::Es384 | Self::Rs384 | Self::Ps384 => sha384(bytes),
            // RFC 8032 5.1: Ed25519 is made with it.
            Self::EdDsa | Self::Es512 | Self::Rs512 | Self::Ps512 => sha512(bytes),
        }
    }

    fn kind(self) -> &'static KeyKind {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static KeyKind) {
        &ALGORITHMS[self as usize]
    }
}

/// A public key that signatures can be verified with (RFC 7517 section 4).
pub struct Jwk {
    kind: &'static KeyKind,
    kid: Option<String>,
    alg: Option<Algorithm>,
    public_json: String,
}

impl Jwk {
    /// The key as the JWK that WebCrypto's `importKey` takes: `kty`, `crv` and the public members,
    /// written anew and nothing else.
    ///
    /// `alg` is not among them: the caller names the algorithm to `importKey` anyway, and engines
    /// disagree on whether Ed25519 is called `EdDSA` there.
    #[must_use]
    pub fn public_json(&self) -> &str {
        &self.public_json
    }

    /// The key in `object`, if it is public, sound, and meant for verifying.
    fn read(object: &Object) -> Option<Box<Self>> {
        if object.get("d").is_some() || !is_for_verifying(object) {
            return None;
        }
        let (kty, crv) = (object.str("kty")?, object.str("crv").unwrap_or_default());
        let kind = *KINDS.iter().find(|k| k.kty == kty && k.crv == crv)?;
        let kid = optional(object, "kid")?;
        let alg = match optional(object, "alg")? {
            Some(name) => Some(Algorithm::from_name(name)?),
            None => None,
        };
        if alg.is_some_and(|alg| !core::ptr::eq(alg.kind(), kind)) {
            return None;
        }
        let mut public = Writer::object();
        public.text("kty", kty);
        if !crv.is_empty() {
            public.text("crv", crv);
        }
        let mut members = Vec::new();
        for name in kind.members {
            let text = object.str(name)?;
            // The text is the only one for these bytes, so it may be passed on.
            members.push(base64url::decode(text)?);
            public.text(name, text);
        }
        if !(kind.check)(&members) {
            return None;
        }
        Some(Box::new(Self {
            kind,
            kid: kid.map(str::to_owned),
            alg,
            public_json: public.finish(),
        }))
    }

    fn fits(&self, alg: Algorithm) -> bool {
        core::ptr::eq(self.kind, alg.kind()) && self.alg.is_none_or(|own| own == alg)
    }
}

impl core::fmt::Debug for Jwk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.kind.kty)
    }
}

/// Why a key set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// No key fits: the issuer may have changed its keys since, so fetch them again, once.
    Unknown,
    /// Several keys fit: to try them one after the other would let the token choose.
    Ambiguous,
}

/// The usable keys of an issuer (RFC 7517 section 5).
#[derive(Debug)]
pub struct Jwks {
    #[expect(clippy::vec_box, reason = "moving a box is less code")]
    keys: Vec<Box<Jwk>>,
}

impl Jwks {
    /// Reads a key set. Keys that cannot be used are left out, so the set may turn out empty.
    ///
    /// # Errors
    /// [`Code::MetadataInvalid`] if it is longer than [`MAX_LEN`], is not a strict JSON object with
    /// an array `keys`, or has more than [`MAX_KEYS`].
    pub fn parse(json: &str) -> Result<Self> {
        if json.len() > MAX_LEN {
            return Err(invalid(msg!("is longer than 256 KiB")));
        }
        let Ok(set) = Value::parse(json) else {
            return Err(invalid(msg!("is not strict JSON")));
        };
        let set = set.as_object().and_then(|set| set.get("keys"));
        let Some(items) = set.and_then(Value::as_array) else {
            return Err(invalid(msg!("has no array called keys")));
        };
        if items.len() > MAX_KEYS {
            return Err(invalid(msg!("has more than 100 keys")));
        }
        let mut keys = Vec::new();
        for item in items {
            if let Some(key) = item.as_object().and_then(Jwk::read) {
                keys.push(key);
            }
        }
        Ok(Self { keys })
    }

    /// The one key for a token with this `alg` and `kid` (RFC 7515 section 6). A token without a
    /// `kid` has a key only if the set leaves no choice.
    ///
    /// # Errors
    /// Whether no key fits or several.
    pub fn select(
        &self,
        alg: Algorithm,
        kid: Option<&str>,
    ) -> core::result::Result<&Jwk, SelectError> {
        let mut fitting = Err(SelectError::Unknown);
        for key in &self.keys {
            if !key.fits(alg) || kid.is_some_and(|kid| key.kid.as_deref() != Some(kid)) {
                continue;
            }
            if fitting.is_ok() {
                return Err(SelectError::Ambiguous);
            }
            fitting = Ok(&**key);
        }
        fitting
    }
}

fn invalid(reason: &str) -> Error {
    Error::of(
        Code::MetadataInvalid,
        &[msg!("the issuer's key set "), reason],
    )
}

/// The string member called `name`, if it is there; `None` if it is there and not a string.
fn optional<'a>(object: &'a Object, name: &str) -> Option<Option<&'a str>> {
    match object.get(name) {
        Some(value) => value.as_str().map(Some),
        None => Some(None),
    }
}

/// RFC 7517 sections 4.2 and 4.3: both members are optional, and neither may say otherwise.
fn is_for_verifying(object: &Object) -> bool {
    let usage = object
        .get("use")
        .is_none_or(|usage| usage.as_str() == Some("sig"));
    let operations = object.get("key_ops").is_none_or(|operations| {
        operations
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one.as_str() == Some("verify")))
    });
    usage && operations
}

/// Coordinates and keys have the length of their curve, leading zeros included (RFC 7518 6.2.1.2).
fn all_of<const LEN: usize>(members: &[Vec<u8>]) -> bool {
    members.iter().all(|member| member.len() == LEN)
}

/// RFC 7518 section 6.3.1: modulus and exponent without leading zeros. An exponent of 1 would make
/// any text its own signature; those in use are odd and fit in four bytes.
fn is_sound_rsa(members: &[Vec<u8>]) -> bool {
    let [n, e] = members else { return false };
    let (Some(&first), Some(&last)) = (n.first(), n.last()) else {
        return false;
    };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let sound_exponent =
        e.len() <= 4 && e.first() != Some(&0) && e.last().is_some_and(|e| e % 2 == 1) && e != &[1];
    first != 0 && last % 2 == 1 && RSA_BITS.contains(&bits) && sound_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

    fn ec(more: &str) -> String {
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}"{more}}}"#)
    }

    fn okp(more: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{more}}}"#)
    }

    fn rsa(n: &[u8], e: &[u8], more: &str) -> String {
        let [n, e] = [n, e].map(base64url::encode);
        format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"{more}}}"#)
    }

    fn modulus(bits: usize) -> Vec<u8> {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= n.len() * 8 - bits;
        n
    }

    fn set(keys: &[String]) -> Jwks {
        Jwks::parse(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap()
    }

    #[test]
    fn an_algorithm_is_found_by_its_names_exactly() {
        for alg in Algorithm::ALL {
            assert_eq!(alg.row().0, alg);
            assert_eq!(Algorithm::from_name(alg.name()), Some(alg));
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        for name in [
            "", "none", "None", "NONE", "HS256", "HS384", "HS512", "es256", "ES256 ", "RS1",
            "RS385", "ES256K", "EDDSA", "Ed448", "A256GCM", "dir",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    #[cfg(feature = "extended")]
    #[test]
    fn each_curve_has_its_algorithm_and_no_other() {
        let point = |crv: &str, len: usize| {
            let [x, y] = [1, 2].map(|octet| base64url::encode(&vec![octet; len]));
            format!(r#"{{"kty":"EC","crv":"{crv}","x":"{x}","y":"{y}"}}"#)
        };
        let keys = set(&[ec(""), point("P-384", 48), point("P-521", 66)]);
        for (alg, crv) in [
            (Algorithm::Es256, "P-256"),
            (Algorithm::Es384, "P-384"),
            (Algorithm::Es512, "P-521"),
        ] {
            assert_eq!(keys.select(alg, None).unwrap().kind.crv, crv);
        }
        for (crv, len) in [("P-384", 32), ("P-384", 49), ("P-521", 64), ("P-521", 65)] {
            assert!(set(&[point(crv, len)]).keys.is_empty(), "{crv} {len}");
        }
    }

    #[cfg(feature = "extended")]
    #[test]
    fn a_key_with_an_algorithm_of_its_own_is_for_that_alone() {
        let of = |alg: &str| rsa(&modulus(2048), &[1, 0, 1], &format!(r#","alg":"{alg}""#));
        let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
        let keys = set(&names.map(of));
        for name in names {
            let alg = Algorithm::from_name(name).unwrap();
            assert_eq!(keys.select(alg, None).unwrap().alg, Some(alg));
        }
    }

    #[test]
    fn a_kid_picks_the_key_of_the_right_kind_only() {
        let keys = set(&[
            ec(r#","kid":"a""#),
            rsa(&modulus(2048), &[1, 0, 1], r#","kid":"a""#),
            rsa(&modulus(2048), &[1, 0, 1], r#","kid":"b","alg":"RS256""#),
            okp(r#","kid":"../x""#),
            okp(""),
        ]);
        let kty = |alg, kid| keys.select(alg, Some(kid)).map(|key| key.kind.kty);
        assert_eq!(kty(Algorithm::Es256, "a"), Ok("EC"));
        assert_eq!(kty(Algorithm::Rs256, "a"), Ok("RSA"));
        assert_eq!(kty(Algorithm::Ps256, "a"), Ok("RSA"));
        assert_eq!(kty(Algorithm::Rs256, "b"), Ok("RSA"));
        assert_eq!(kty(Algorithm::EdDsa, "../x"), Ok("OKP"));
        for (alg, kid) in [
            (Algorithm::Ps256, "b"),
            (Algorithm::Es256, "b"),
            (Algorithm::EdDsa, "a"),
            (Algorithm::Es256, "A"),
            (Algorithm::Es256, "a "),
            (Algorithm::EdDsa, ""),
            (Algorithm::EdDsa, "../../x"),
        ] {
            assert_eq!(kty(alg, kid), Err(SelectError::Unknown), "{alg:?} {kid}");
        }
    }

    #[test]
    fn without_a_kid_the_set_must_leave_no_choice() {
        let keys = set(&[
            ec(r#","kid":"a""#),
            okp(r#","kid":"b""#),
            okp(r#","kid":"c""#),
            rsa(&modulus(2048), &[3], r#","alg":"RS256""#),
            rsa(&modulus(2048), &[3], r#","alg":"PS256""#),
        ]);
        assert!(keys.select(Algorithm::Es256, None).is_ok());
        assert!(keys.select(Algorithm::Rs256, None).is_ok());
        assert!(keys.select(Algorithm::Ps256, None).is_ok());
        assert_eq!(
            keys.select(Algorithm::EdDsa, None).err(),
            Some(SelectError::Ambiguous)
        );
    }

    #[test]
    fn two_keys_under_one_kid_are_ambiguous() {
        let keys = set(&[ec(r#","kid":"a""#), ec(r#","kid":"a""#)]);
        assert_eq!(
            keys.select(Algorithm::Es256, Some("a")).err(),
            Some(SelectError::Ambiguous)
        );
    }

    #[test]
    fn an_empty_set_knows_no_key() {
        assert_eq!(
            set(&[]).select(Algorithm::Es256, None).err(),
            Some(SelectError::Unknown)
        );
    }

    #[test]
    fn keys_that_must_not_be_used_are_left_out_and_the_others_stay() {
        let short = &X[..X.len() - 2];
        let unusable = [
            r#"{"kty":"oct","k":"AAAA","kid":"a"}"#.to_owned(),
            r#"{}"#.to_owned(),
            r#"null"#.to_owned(),
            r#""key""#.to_owned(),
            r#"{"kty":1}"#.to_owned(),
            ec(r#","use":"enc""#),
            ec(r#","use":"SIG""#),
            ec(r#","use":null"#),
            ec(r#","key_ops":["sign"]"#),
            ec(r#","key_ops":[]"#),
            ec(r#","key_ops":"verify""#),
            ec(r#","d":"AAAA""#),
            ec(r#","d":null"#),
            ec(r#","kid":1"#),
            ec(r#","alg":"ES384""#),
            ec(r#","alg":"ES512""#),
            ec(r#","alg":"HS256""#),
            ec(r#","alg":"RS256""#),
            ec(r#","alg":"none""#),
            ec(r#","alg":1"#),
            okp(r#","alg":"ES256""#),
            okp(r#","d":"AAAA""#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":1}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{short}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}AAAA"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}=","y":"{Y}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{short}F","y":"{Y}"}}"#),
            format!(r#"{{"kty":"EC","crv":"P-384","x":"{X}","y":"{Y}"}}"#),
            format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{X}","y":"{Y}"}}"#),
            format!(r#"{{"kty":"EC","crv":"Ed25519","x":"{X}","y":"{Y}"}}"#),
            format!(r#"{{"kty":"EC","x":"{X}","y":"{Y}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{X}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed448","x":"{X}"}}"#),
            rsa(&modulus(2047), &[1, 0, 1], ""),
            rsa(&modulus(1024), &[1, 0, 1], ""),
            rsa(&modulus(16392), &[1, 0, 1], ""),
            rsa(&[&[0], &modulus(2048)[..]].concat(), &[1, 0, 1], ""),
            rsa(&[&modulus(2048)[..], &[0]].concat(), &[1, 0, 1], ""),
            rsa(&[], &[1, 0, 1], ""),
            rsa(&modulus(2048), &[], ""),
            rsa(&modulus(2048), &[1], ""),
            rsa(&modulus(2048), &[0, 3], ""),
            rsa(&modulus(2048), &[4], ""),
            rsa(&modulus(2048), &[1, 0, 0, 0, 1], ""),
            rsa(&modulus(2048), &[1, 0, 1], r#","d":"AAAA""#),
            rsa(&modulus(2048), &[1, 0, 1], r#","use":"enc""#),
            rsa(&modulus(2048), &[1, 0, 1], r#","alg":"RSA-OAEP""#),
        ];
        for key in &unusable {
            assert!(set(core::slice::from_ref(key)).keys.is_empty(), "{key}");
        }
        let mut keys = unusable.to_vec();
        keys.push(ec(
            r#","kid":"good","use":"sig","key_ops":["verify"],"x5c":["new"],"new":1"#,
        ));
        let keys = set(&keys);
        assert_eq!(keys.keys.len(), 1);
        assert!(keys.select(Algorithm::Es256, Some("good")).is_ok());
    }

    #[test]
    fn the_public_key_is_written_anew_without_what_came_along() {
        let more = r#","kid":"a","use":"sig","alg":"ES256","x5u":"https://evil.test","ext":false"#;
        let written = |key: String, alg| {
            let keys = set(&[key]);
            keys.select(alg, None).unwrap().public_json().to_owned()
        };
        assert_eq!(written(ec(more), Algorithm::Es256), ec(""));
        assert_eq!(written(okp(r#","alg":"EdDSA""#), Algorithm::EdDsa), okp(""));
        let modulus = modulus(4096);
        assert_eq!(
            written(rsa(&modulus, &[1, 0, 1], r#","kid":"a""#), Algorithm::Ps256),
            rsa(&modulus, &[1, 0, 1], "")
        );
    }

    #[test]
    fn what_is_no_key_set_is_refused_whole() {
        let many = |count| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
        assert!(Jwks::parse(&many(MAX_KEYS)).is_ok());
        let long = format!(r#"{{"keys":[],"a":"{}"}}"#, "a".repeat(MAX_LEN));
        for (json, message) in [
            ("", "the issuer's key set is not strict JSON"),
            ("<html>", "the issuer's key set is not strict JSON"),
            (
                r#"{"keys":[],"keys":[]}"#,
                "the issuer's key set is not strict JSON",
            ),
            ("[]", "the issuer's key set has no array called keys"),
            ("{}", "the issuer's key set has no array called keys"),
            (
                r#"{"keys":{}}"#,
                "the issuer's key set has no array called keys",
            ),
            (
                r#"{"keys":null}"#,
                "the issuer's key set has no array called keys",
            ),
            (
                &many(MAX_KEYS + 1),
                "the issuer's key set has more than 100 keys",
            ),
            (&long, "the issuer's key set is longer than 256 KiB"),
        ] {
            let error = Jwks::parse(json).unwrap_err();
            assert_eq!(error.code(), Code::MetadataInvalid);
            assert_eq!(error.message(), message);
        }
    }
}
