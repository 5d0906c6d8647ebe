//! Selection of one key for one algorithm from the issuer's key set (RFC 7517, RFC 8725 section 3.1).
//!
//! Parsing leaves out unusable keys: symmetric and private keys, encryption keys, malformed keys, short RSA keys, and
//! keys on unknown curves. The provider may publish such keys next to usable ones. A token's `kid` selects among the
//! remaining keys. The `kid` is compared with the IDs of the keys, and used for nothing else.

mod algorithms;

use crate::base::digest::sha256;
use crate::base::error::quote;
use crate::codec::base64url;
use crate::codec::json::{Object, Value, Writer};
use crate::prelude::*;
use crate::{Code, Error, Result};

pub use algorithms::Algorithm;
use algorithms::{ALGORITHMS, KINDS};
pub(crate) use algorithms::{NONE_SUPPORTED, NOT_ALLOWED};

/// Longest key set that is accepted, in bytes.
pub const MAX_LEN: usize = 256 * 1024;

/// Largest number of keys in a key set, including unusable keys.
pub const MAX_KEYS: usize = 100;

/// Accepted lengths of RSA moduli, in bits. RFC 7518 section 3.3 requires at least 2048. The upper limit bounds the
/// cost of a signature check.
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=16384;

/// A kind of public key: the members of its JWK, and the check of their values.
struct KeyKind {
    kty: &'static str,
    /// The curve, or an empty string if the key type has no curves.
    crv: &'static str,
    /// The names of the public members, in the order of [`Jwk::public_json`].
    members: &'static [&'static str],
    check: fn(&[Vec<u8>]) -> bool,
}

// The host's importKey checks that points are on their curve (RFC 8725 section 3.4).
static P256: KeyKind = KeyKind {
    kty: "EC",
    crv: "P-256",
    members: &["x", "y"],
    check: all_of::<32>,
};
static RSA: KeyKind = KeyKind {
    kty: "RSA",
    crv: "",
    members: &["n", "e"],
    check: is_valid_rsa,
};

impl Algorithm {
    /// Returns the algorithm with this case-sensitive name (RFC 7515 section 4.1.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        ALGORITHMS
            .iter()
            .find_map(|&(algorithm, known, _)| (known == name).then_some(algorithm))
    }

    /// Returns the name in the registry of RFC 7518 section 7.1.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    fn kind(self) -> &'static KeyKind {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static KeyKind) {
        &ALGORITHMS[self as usize]
    }
}

/// A public key that can verify signatures (RFC 7517 section 4).
pub struct Jwk {
    kind: &'static KeyKind,
    kid: Option<String>,
    alg: Option<Algorithm>,
    public_json: String,
}

impl Jwk {
    /// Returns the key as a JWK in JSON for WebCrypto's `importKey`. The JWK contains only `kty`, `crv` and the public
    /// members.
    ///
    /// The JWK does not contain `alg`: the caller passes the algorithm to `importKey`, and browsers disagree on the
    /// value of `alg` for Ed25519.
    #[must_use]
    pub fn public_json(&self) -> &str {
        &self.public_json
    }

    /// Reads a key.
    ///
    /// # Errors
    /// The reason why the key is left out: it is private, malformed, not for verification, or for an algorithm that is not
    /// accepted.
    fn read(object: &Object) -> core::result::Result<Box<Self>, &'static str> {
        if object.get("d").is_some() {
            return Err(msg!("it is a private key"));
        }
        if !is_for_verifying(object) {
            return Err(msg!(
                "its use or key_ops is not the verification of signatures"
            ));
        }
        let kty = object.str("kty").ok_or(msg!("it has no kty"))?;
        let crv = object.str("crv").unwrap_or_default();
        let kind = KINDS.iter().find(|k| k.kty == kty && k.crv == crv);
        let kind = *kind.ok_or(msg!("its kty or crv is not one of those that are accepted"))?;
        let kid = optional(object, "kid").ok_or(msg!("its kid is not a string"))?;
        let alg = optional(object, "alg").ok_or(msg!("its alg is not a string"))?;
        let alg = alg.map(|name| Algorithm::from_name(name).ok_or(msg!("its alg is not accepted")));
        let alg = alg.transpose()?;
        if alg.is_some_and(|alg| !core::ptr::eq(alg.kind(), kind)) {
            return Err(msg!("its alg does not belong to its kty and crv"));
        }
        let mut public = Writer::object();
        public.text("kty", kty);
        if !crv.is_empty() {
            public.text("crv", crv);
        }
        let mut members = Vec::new();
        for name in kind.members {
            let bytes = object.str(name).and_then(base64url::decode);
            members.push(bytes.ok_or(msg!("a member of its public key is not base64url"))?);
            // Each byte sequence has one base64url encoding, so the string is passed on as it is.
            let text = object.str(name).unwrap_or_default();
            public.text(name, text);
        }
        if !(kind.check)(&members) {
            return Err(msg!(
                "its public key has a wrong length, or is not accepted"
            ));
        }
        Ok(Box::new(Self {
            kind,
            kid: kid.map(str::to_owned),
            alg,
            public_json: public.finish(),
        }))
    }

    /// Reads a public key that is not in a key set. Returns `None` if the key cannot verify signatures.
    #[must_use]
    pub fn public(object: &Object) -> Option<Box<Self>> {
        Self::read(object).ok()
    }

    /// Returns the SHA-256 thumbprint in base64url (RFC 7638): the hash of the public members in lexicographic order.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let parsed = Value::parse(&self.public_json).ok();
        let members = parsed.as_ref().and_then(Value::as_object);
        let mut sorted = Writer::object();
        for name in ["crv", "e", "kty", "n", "x", "y"] {
            if let Some(text) = members.and_then(|members| members.str(name)) {
                sorted.text(name, text);
            }
        }
        base64url::encode(&sha256(sorted.finish().as_bytes()))
    }

    /// Returns true if the key can verify signatures of this algorithm.
    #[must_use]
    pub fn is_for(&self, alg: Algorithm) -> bool {
        core::ptr::eq(self.kind, alg.kind()) && self.alg.is_none_or(|own| own == alg)
    }
}

impl core::fmt::Debug for Jwk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.kind.kty)
    }
}

/// The reason for which no key was selected for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// No key matches. The issuer may have rotated its keys: fetch the key set again, once.
    Unknown,
    /// Several keys match. Trying each of them would let the token choose its key.
    Ambiguous,
}

/// The usable keys of an issuer (RFC 7517 section 5).
#[derive(Debug)]
pub struct Jwks {
    #[expect(clippy::vec_box, reason = "moving a box is less code")]
    keys: Vec<Box<Jwk>>,
    /// The `kid` of each key that was left out, and the reason.
    left_out: Vec<(String, &'static str)>,
}

impl Jwks {
    /// Parses a key set. Leaves out unusable keys, so the set may be empty.
    ///
    /// # Errors
    /// [`Code::MetadataInvalid`] if the key set is longer than [`MAX_LEN`], is not a strict JSON object with
    /// an array `keys`, or has more than [`MAX_KEYS`] keys.
    pub fn parse(json: &str) -> Result<Self> {
        if json.len() > MAX_LEN {
            return Err(invalid(msg!("is longer than 256 KiB")));
        }
        let set = Value::parse(json).map_err(|error| {
            let why = [msg!("is not strict JSON: "), &error.describe()].concat();
            invalid(&why)
        })?;
        let set = set.as_object().and_then(|set| set.get("keys"));
        let Some(items) = set.and_then(Value::as_array) else {
            return Err(invalid(msg!("has no array named keys")));
        };
        if items.len() > MAX_KEYS {
            return Err(invalid(msg!("has more than 100 keys")));
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for object in items.iter().filter_map(Value::as_object) {
            match Jwk::read(object) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    left_out.push((object.str("kid").unwrap_or_default().to_owned(), why));
                }
            }
        }
        Ok(Self { keys, left_out })
    }

    /// Returns the error for a token with this `alg` and `kid`, after [`Jwks::select`] has found no key.
    pub fn explain(&self, alg: Algorithm, kid: Option<&str>, error: SelectError) -> Error {
        let why = match (error, kid) {
            (SelectError::Ambiguous, Some(_)) => msg!("several of its keys match"),
            (SelectError::Ambiguous, None) => {
                msg!("several of its keys match, and the token names none of them")
            }
            (SelectError::Unknown, _) if self.keys.is_empty() && self.left_out.is_empty() => {
                msg!("it is empty")
            }
            (SelectError::Unknown, Some(kid)) => {
                let mut left_out = self.left_out.iter();
                match left_out.find(|(of, _)| of == kid) {
                    _ if self.keys.iter().any(|key| key.kid.as_deref() == Some(kid)) => {
                        msg!("its key of this ID is for another algorithm")
                    }
                    Some((_, why)) => why,
                    None => msg!("it has no key of this ID"),
                }
            }
            (SelectError::Unknown, None) => msg!("it has no key for this algorithm"),
        };
        let name = kid.map(quote);
        let message = [
            msg!("the provider's key set has no key for the token, whose alg is "),
            alg.name(),
            msg!(" and whose kid is "),
            name.as_deref().unwrap_or(msg!("missing")),
            ": ",
            why,
        ];
        Error::of(Code::IdTokenInvalid, &message)
    }

    /// Selects the key for a token with this `alg` and `kid` (RFC 7515 section 6). For a token without `kid`, exactly
    /// one key must match `alg`.
    ///
    /// # Errors
    /// [`SelectError`] if no key or several keys match.
    pub fn select(
        &self,
        alg: Algorithm,
        kid: Option<&str>,
    ) -> core::result::Result<&Jwk, SelectError> {
        let mut matching = Err(SelectError::Unknown);
        for key in &self.keys {
            if !key.is_for(alg) || kid.is_some_and(|kid| key.kid.as_deref() != Some(kid)) {
                continue;
            }
            if matching.is_ok() {
                return Err(SelectError::Ambiguous);
            }
            matching = Ok(&**key);
        }
        matching
    }
}

fn invalid(reason: &str) -> Error {
    Error::of(
        Code::MetadataInvalid,
        &[msg!("the issuer's key set "), reason],
    )
}

/// Returns the string member `name`: `Some(None)` if the member is absent, and `None` if it is not a string.
fn optional<'a>(object: &'a Object, name: &str) -> Option<Option<&'a str>> {
    match object.get(name) {
        Some(value) => value.as_str().map(Some),
        None => Some(None),
    }
}

/// Returns true unless `use` or `key_ops` exclude verification (RFC 7517 sections 4.2 and 4.3). Both members are
/// optional.
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

/// Returns true if each member has `LEN` bytes, including leading zeros (RFC 7518 6.2.1.2).
fn all_of<const LEN: usize>(members: &[Vec<u8>]) -> bool {
    members.iter().all(|member| member.len() == LEN)
}

/// Returns true for a valid RSA modulus and exponent, without leading zeros (RFC 7518 section 6.3.1). With an exponent
/// of 1 every message would be its own signature. Exponents in use are odd and have at most four bytes.
fn is_valid_rsa(members: &[Vec<u8>]) -> bool {
    let [n, e] = members else { return false };
    let (Some(&first), Some(&last)) = (n.first(), n.last()) else {
        return false;
    };
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let is_valid_exponent =
        e.len() <= 4 && e.first() != Some(&0) && e.last().is_some_and(|e| e % 2 == 1) && e != &[1];
    first != 0 && last % 2 == 1 && RSA_BITS.contains(&bits) && is_valid_exponent
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
    fn causes_of_a_missing_key_are_told_apart() {
        let message = |keys: &[String], kid: Option<&str>| {
            let keys = set(keys);
            let error = keys.select(Algorithm::Es256, kid).unwrap_err();
            let error = keys.explain(Algorithm::Es256, kid, error);
            assert_eq!(error.code(), Code::IdTokenInvalid);
            error.message().to_owned()
        };
        let with = |more: &str| ec(&format!(r#","kid":"a"{more}"#));
        let short = format!(r#"{{"kty":"EC","crv":"P-256","kid":"a","x":"{X}","y":"AAAA"}}"#);
        let cases: &[(&[String], &str)] = &[
            (&[], "it is empty"),
            (&[ec(r#","kid":"b""#)], "it has no key of this ID"),
            (
                &[okp(r#","kid":"a""#)],
                "its key of this ID is for another algorithm",
            ),
            (&[with(""), with("")], "several of its keys match"),
            (&[with(r#","d":"x""#)], "it is a private key"),
            (
                &[with(r#","use":"enc""#)],
                "its use or key_ops is not the verification of signatures",
            ),
            (&[r#"{"kid":"a"}"#.to_owned()], "it has no kty"),
            (
                &[r#"{"kid":"a","kty":"EC","crv":"secp256k1"}"#.to_owned()],
                "its kty or crv is not one of those that are accepted",
            ),
            (&[with(r#","alg":1"#)], "its alg is not a string"),
            (&[with(r#","alg":"HS256""#)], "its alg is not accepted"),
            (
                &[with(r#","alg":"RS256""#)],
                "its alg does not belong to its kty and crv",
            ),
            (
                &[r#"{"kid":"a","kty":"EC","crv":"P-256","x":"+","y":"A"}"#.to_owned()],
                "a member of its public key is not base64url",
            ),
            (
                &[short],
                "its public key has a wrong length, or is not accepted",
            ),
        ];
        for (keys, why) in cases {
            let lead = "the provider's key set has no key for the token, whose alg is ES256 and whose kid is 'a': ";
            assert_eq!(message(keys, Some("a")), [lead, why].concat());
        }
        let lead = "the provider's key set has no key for the token, whose alg is ES256 and whose kid is missing: ";
        for (keys, why) in [
            (vec![okp("")], "it has no key for this algorithm"),
            (
                vec![ec(""), ec("")],
                "several of its keys match, and the token names none of them",
            ),
        ] {
            assert_eq!(message(&keys, None), [lead, why].concat());
        }
    }

    #[test]
    fn algorithm_names_match_exactly() {
        let names = Algorithm::ALL.map(Algorithm::name).join(" ");
        let all = "ES256 RS256 PS256 EdDSA ES384 ES512 RS384 RS512 PS384 PS512";
        assert_eq!(names, all);
        for alg in Algorithm::ALL {
            assert_eq!(alg.row().0, alg);
            assert_eq!(Algorithm::from_name(alg.name()), Some(alg));
        }
        let ed25519 = Algorithm::from_name("Ed25519");
        assert_eq!(ed25519, Algorithm::from_name("EdDSA"));
        for name in [
            "", "none", "None", "NONE", "HS256", "HS384", "HS512", "es256", "ES256 ", "RS1",
            "RS385", "ES256K", "EDDSA", "Ed448", "A256GCM", "dir",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn each_curve_has_one_algorithm() {
        let point = |crv: &str, len: usize| {
            let [x, y] = [1, 2].map(|byte| base64url::encode(&vec![byte; len]));
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

    #[test]
    fn key_with_alg_matches_only_that_algorithm() {
        let of = |alg: &str| rsa(&modulus(2048), &[1, 0, 1], &format!(r#","alg":"{alg}""#));
        let is_of_rsa = |alg: &Algorithm| alg.row().2.kty == "RSA";
        let algorithms: Vec<_> = Algorithm::ALL.into_iter().filter(is_of_rsa).collect();
        let keys: Vec<_> = algorithms.iter().map(|alg| of(alg.name())).collect();
        let keys = set(&keys);
        for alg in algorithms {
            assert_eq!(keys.select(alg, None).unwrap().alg, Some(alg));
        }
    }

    #[test]
    fn kid_selects_among_keys_of_the_kind() {
        let keys = set(&[
            ec(r#","kid":"a""#),
            rsa(&modulus(2048), &[1, 0, 1], r#","kid":"a""#),
            rsa(&modulus(2048), &[1, 0, 1], r#","kid":"b","alg":"RS256""#),
        ]);
        let kty = |alg, kid| keys.select(alg, Some(kid)).map(|key| key.kind.kty);
        assert_eq!(kty(Algorithm::Es256, "a"), Ok("EC"));
        assert_eq!(kty(Algorithm::Rs256, "a"), Ok("RSA"));
        assert_eq!(kty(Algorithm::Ps256, "a"), Ok("RSA"));
        assert_eq!(kty(Algorithm::Rs256, "b"), Ok("RSA"));
        for (alg, kid) in [
            (Algorithm::Ps256, "b"),
            (Algorithm::Es256, "b"),
            (Algorithm::Es256, "A"),
            (Algorithm::Es256, "a "),
        ] {
            assert_eq!(kty(alg, kid), Err(SelectError::Unknown), "{alg:?} {kid}");
        }
    }

    #[test]
    fn kid_is_compared_as_a_whole() {
        let keys = set(&[ec(r#","kid":"a""#), okp(r#","kid":"../x""#), okp("")]);
        let kty = |kid| {
            keys.select(Algorithm::EdDsa, Some(kid))
                .map(|key| key.kind.kty)
        };
        assert_eq!(kty("../x"), Ok("OKP"));
        for kid in ["a", "", "../../x"] {
            assert_eq!(kty(kid), Err(SelectError::Unknown), "{kid}");
        }
    }

    #[test]
    fn missing_kid_requires_a_single_match() {
        let keys = set(&[
            ec(r#","kid":"a""#),
            rsa(&modulus(2048), &[3], r#","alg":"RS256""#),
            rsa(&modulus(2048), &[3], r#","alg":"PS256""#),
            rsa(&modulus(2048), &[3], r#","alg":"PS256","kid":"b""#),
        ]);
        assert!(keys.select(Algorithm::Es256, None).is_ok());
        assert!(keys.select(Algorithm::Rs256, None).is_ok());
        assert_eq!(
            keys.select(Algorithm::Ps256, None).err(),
            Some(SelectError::Ambiguous)
        );
    }

    #[test]
    fn duplicate_kid_is_ambiguous() {
        let keys = set(&[ec(r#","kid":"a""#), ec(r#","kid":"a""#)]);
        assert_eq!(
            keys.select(Algorithm::Es256, Some("a")).err(),
            Some(SelectError::Ambiguous)
        );
    }

    #[test]
    fn empty_set_has_no_key() {
        assert_eq!(
            set(&[]).select(Algorithm::Es256, None).err(),
            Some(SelectError::Unknown)
        );
    }

    #[test]
    fn unusable_keys_are_left_out() {
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
    fn public_json_of_okp_keys_has_no_algorithm() {
        let keys = set(&[okp(r#","alg":"EdDSA""#)]);
        let key = keys.select(Algorithm::EdDsa, None).unwrap();
        assert_eq!(key.public_json(), okp(""));
    }

    #[test]
    fn public_json_has_public_members_only() {
        let more = r#","kid":"a","use":"sig","alg":"ES256","x5u":"https://evil.test","ext":false"#;
        let written = |key: String, alg| {
            let keys = set(&[key]);
            keys.select(alg, None).unwrap().public_json().to_owned()
        };
        assert_eq!(written(ec(more), Algorithm::Es256), ec(""));
        let modulus = modulus(4096);
        assert_eq!(
            written(rsa(&modulus, &[1, 0, 1], r#","kid":"a""#), Algorithm::Ps256),
            rsa(&modulus, &[1, 0, 1], "")
        );
    }

    #[test]
    fn rejects_malformed_key_sets() {
        let many = |count| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
        assert!(Jwks::parse(&many(MAX_KEYS)).is_ok());
        let long = format!(r#"{{"keys":[],"a":"{}"}}"#, "a".repeat(MAX_LEN));
        for (json, message) in [
            (
                "",
                "the issuer's key set is not strict JSON: the text ends where a value should be",
            ),
            (
                "<html>",
                "the issuer's key set is not strict JSON: not a JSON value",
            ),
            (
                r#"{"keys":[],"keys":[]}"#,
                "the issuer's key set is not strict JSON: a member name is repeated in keys",
            ),
            (
                r#"{"keys":[{"kid":"\ud800"}]}"#,
                "the issuer's key set is not strict JSON: a lone surrogate in keys",
            ),
            ("[]", "the issuer's key set has no array named keys"),
            ("{}", "the issuer's key set has no array named keys"),
            (
                r#"{"keys":{}}"#,
                "the issuer's key set has no array named keys",
            ),
            (
                r#"{"keys":null}"#,
                "the issuer's key set has no array named keys",
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
