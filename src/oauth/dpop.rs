//! Proofs of possession (`DPoP`, RFC 9449): tokens that are good only together with a private key, which never leaves
//! the host.
//!
//! The host makes an ES256 key pair that is not extractable and tells its [`PublicKey`]. What is sent with a
//! token carries a proof: a JWT that names method, address, moment and token, signed by that key. The core
//! writes all of it but the signature ([`UnsignedProof`]), which the host adds on the way out.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::json::{Object, Writer};
use crate::oauth::pkce;

/// Octets of entropy in a proof's `jti`: 128 bits, where RFC 9449 4.2 asks for 96.
pub const JTI: usize = 16;

/// Longest nonce of a server that is used, in bytes.
pub const MAX_NONCE: usize = 1024;

/// Most servers whose nonces are remembered: rules for APIs are no more than 100.
const MAX_SERVERS: usize = 100;

/// Octets of a coordinate of a point on P-256.
const COORDINATE: usize = 32;

/// The public half of a key pair for ES256 (RFC 7518 3.4). Clones share their text: a key goes from the login to the
/// session and into each token request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Rc<KeyEncodings>);

#[derive(Debug, PartialEq, Eq)]
struct KeyEncodings {
    jwk: String,
    thumbprint: String,
    /// The header of all its proofs, encoded.
    header: String,
}

impl PublicKey {
    /// The key with these coordinates, in base64url. `None` if they are not of P-256's length.
    #[must_use]
    pub fn new(x: &str, y: &str) -> Option<Self> {
        for coordinate in [x, y] {
            base64url::decode(coordinate).filter(|octets| octets.len() == COORDINATE)?;
        }
        // Required members only, by the order of their names: what RFC 7638 3 makes the thumbprint of.
        let jwk = Writer::object()
            .text("crv", "P-256")
            .text("kty", "EC")
            .text("x", x)
            .text("y", y)
            .finish();
        let header = Writer::object()
            .text("typ", "dpop+jwt")
            .text("alg", "ES256")
            .json("jwk", &jwk)
            .finish();
        Some(Self(Rc::new(KeyEncodings {
            thumbprint: base64url::encode(&pkce::sha256(jwk.as_bytes())),
            header: base64url::encode(header.as_bytes()),
            jwk,
        })))
    }

    /// Reads what [`Self::jwk`] wrote.
    #[must_use]
    pub fn from_jwk(jwk: &Object) -> Option<Self> {
        Self::new(jwk.str("x")?, jwk.str("y")?)
    }

    /// The key as JSON (RFC 7517), without anything private.
    #[must_use]
    pub fn jwk(&self) -> &str {
        &self.0.jwk
    }

    /// Its SHA-256 thumbprint (RFC 7638), which is also the name that host and core know the pair by, and
    /// `dpop_jkt` of the authorization request (RFC 9449 10).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }
}

/// What a proof is for (RFC 9449 4.2).
#[derive(Clone, Copy, Debug)]
pub struct ProofParams<'a> {
    /// The request's method.
    pub method: &'a str,
    /// Where it goes, as the URL parser serialises it.
    pub url: &'a str,
    /// The access token that goes along, if one does.
    pub access_token: Option<&'a Secret>,
    /// The nonce that the server gave last, if it gives any (RFC 9449 8 and 9).
    pub nonce: Option<&'a str>,
    /// Now, in seconds since the Unix epoch, as near to the server's time as is known.
    pub issued_at: u64,
    /// What makes it a proof of its own.
    pub jti: [u8; JTI],
}

/// A proof that lacks its signature.
#[derive(Clone, Debug)]
pub struct UnsignedProof {
    /// The thumbprint of the key to sign with.
    pub key: String,
    /// What is signed (RFC 7515 5.1).
    pub signing_input: Secret,
}

impl UnsignedProof {
    /// A proof of the possession of `key`.
    #[must_use]
    pub fn new(key: &PublicKey, purpose: &ProofParams<'_>) -> Self {
        let ath = purpose.access_token.map(|token| {
            let hash = pkce::sha256(token.expose().as_bytes());
            base64url::encode(&hash)
        });
        let mut claims = Writer::object();
        claims
            .text("jti", &base64url::encode(&purpose.jti))
            .text("htm", purpose.method)
            .text("htu", &target_uri(purpose.url))
            .number("iat", purpose.issued_at);
        for (name, value) in [("ath", ath.as_deref()), ("nonce", purpose.nonce)] {
            if let Some(value) = value {
                claims.text(name, value);
            }
        }
        let claims = base64url::encode(claims.finish().as_bytes());
        Self {
            key: key.thumbprint().to_owned(),
            signing_input: Secret::new([&key.0.header, ".", &claims].concat()),
        }
    }

    /// The proof: the value of the header `DPoP`.
    #[must_use]
    pub fn signed(&self, signature: &[u8]) -> Secret {
        let signature = base64url::encode(signature);
        Secret::new([self.signing_input.expose(), ".", &signature].concat())
    }
}

/// `htu` (RFC 9449 4.2): the address without query and fragment. The URL parser has seen to letter case, default
/// port and dots; what it leaves of RFC 3986 6.2.2 is how escapes are written, and which of them are needed.
#[must_use]
pub fn target_uri(url: &str) -> String {
    let (bare, _) = strings::split_once(url, b'#');
    let (bare, _) = strings::split_once(bare, b'?');
    let mut pieces = strings::split(bare, b'%');
    let mut normal = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let escape = piece
            .get(..2)
            .filter(|e| e.bytes().all(|b| b.is_ascii_hexdigit()));
        let octet = escape.and_then(|escape| u8::from_str_radix(escape, 16).ok());
        let rest = match (octet, escape) {
            (Some(octet), _) if is_unreserved(octet) => {
                normal.push(octet.into());
                piece.get(2..)
            }
            (_, Some(escape)) => {
                normal.push('%');
                normal.push_str(&escape.to_ascii_uppercase());
                piece.get(2..)
            }
            _ => {
                normal.push('%');
                Some(piece)
            }
        };
        normal.push_str(rest.unwrap_or_default());
    }
    normal
}

/// RFC 3986 2.3.
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || strings::contains_byte(b"-._~", octet)
}

/// The nonces that servers want in proofs, each server's its own (RFC 9449 8, 9): those of the provider and those of
/// APIs are kept apart from each other too, since they may be on one origin.
#[derive(Debug, Default)]
pub struct Nonces(Vec<(String, String)>);

impl Nonces {
    /// Takes note of the header `DPoP-Nonce` of an answer from `url`: the newest counts.
    pub fn record(&mut self, url: &str, header: Option<&str>) {
        let Some(nonce) = header.filter(|nonce| is_nonce(nonce)) else {
            return;
        };
        let origin = origin(url);
        if let Some((_, known)) = self.0.iter_mut().find(|(of, _)| of == origin) {
            nonce.clone_into(known);
        } else if self.0.len() < MAX_SERVERS {
            self.0.push((origin.to_owned(), nonce.to_owned()));
        }
    }

    /// The nonce for a request to `url`.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&str> {
        let origin = origin(url);
        let known = self.0.iter().find(|(of, _)| of == origin);
        known.map(|(_, nonce)| nonce.as_str())
    }
}

/// RFC 9449 8.1. Two headers, which must not be, come as one with a comma and a space between.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    let is_nqchar = |octet: u8| matches!(octet, b'!' | b'#'..=b'[' | b']'..=b'~');
    (1..=MAX_NONCE).contains(&text.len()) && text.bytes().all(is_nqchar)
}

/// Scheme, host and port of a serialised URL.
fn origin(url: &str) -> &str {
    let slashes = url.bytes().enumerate().filter(|(_, b)| *b == b'/');
    let third = slashes.map(|(i, _)| i).nth(2).unwrap_or(url.len());
    url.get(..third).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::Value;

    const X: &str = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
    const Y: &str = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";

    fn key() -> PublicKey {
        PublicKey::new(X, Y).unwrap()
    }

    fn parts(proof: &UnsignedProof) -> (Object, Object) {
        let read = |part: &str| {
            let octets = base64url::decode(part).unwrap();
            let value = Value::parse(core::str::from_utf8(&octets).unwrap()).unwrap();
            value.as_object().unwrap().clone()
        };
        let (header, claims) = proof.signing_input.expose().split_once('.').unwrap();
        (read(header), read(claims))
    }

    fn names(object: &Object) -> Vec<&str> {
        object.iter().map(|(name, _)| name).collect()
    }

    const USE: ProofParams<'_> = ProofParams {
        method: "GET",
        url: "https://api.test/v1/a?b=c",
        access_token: None,
        nonce: None,
        issued_at: 1_562_262_616,
        jti: [7; JTI],
    };

    #[test]
    fn the_header_has_the_type_the_algorithm_and_nothing_private() {
        let (header, _) = parts(&UnsignedProof::new(&key(), &USE));
        assert_eq!(names(&header), ["typ", "alg", "jwk"]);
        assert_eq!(header.str("typ"), Some("dpop+jwt"));
        assert_eq!(header.str("alg"), Some("ES256"));
        let jwk = header.get("jwk").unwrap().as_object().unwrap();
        assert_eq!(names(jwk), ["crv", "kty", "x", "y"]);
        assert_eq!(PublicKey::from_jwk(jwk), Some(key()));
    }

    #[test]
    fn the_claims_name_what_is_sent_and_when() {
        let (_, claims) = parts(&UnsignedProof::new(&key(), &USE));
        assert_eq!(names(&claims), ["jti", "htm", "htu", "iat"]);
        assert_eq!(claims.str("htm"), Some("GET"));
        assert_eq!(claims.str("htu"), Some("https://api.test/v1/a"));
        assert_eq!(claims.get("iat").unwrap().as_u64(), Some(1_562_262_616));
        assert_eq!(claims.str("jti"), Some("BwcHBwcHBwcHBwcHBwcHBw"));
    }

    #[test]
    fn a_token_and_a_nonce_are_named_where_there_are_any() {
        let token = Secret::from("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        let purpose = ProofParams {
            access_token: Some(&token),
            nonce: Some("n-1"),
            ..USE
        };
        let (_, claims) = parts(&UnsignedProof::new(&key(), &purpose));
        // RFC 9449 7.1.
        let ath = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
        assert_eq!(claims.str("ath"), Some(ath));
        assert_eq!(claims.str("nonce"), Some("n-1"));
    }

    #[test]
    fn a_proof_is_what_was_signed_and_the_signature() {
        let unsigned = UnsignedProof::new(&key(), &USE);
        let proof = unsigned.signed(&[0xff; 3]);
        let (input, signature) = proof.expose().rsplit_once('.').unwrap();
        assert_eq!(input, unsigned.signing_input.expose());
        assert_eq!(signature, "____");
    }

    #[test]
    fn coordinates_that_are_none_of_p_256_make_no_key() {
        let short = &X[..42];
        for (x, y) in [("", Y), (X, ""), (short, Y), (X, "=="), ("\"", Y)] {
            assert_eq!(PublicKey::new(x, y), None, "{x} {y}");
        }
    }

    #[test]
    fn the_address_is_normalised_as_rfc_3986_says() {
        for (url, htu) in [
            ("https://a.test/", "https://a.test/"),
            ("https://a.test/b?c=d#e", "https://a.test/b"),
            ("https://a.test/b#c?d", "https://a.test/b"),
            ("https://a.test/%7Eb/%2d", "https://a.test/~b/-"),
            ("https://a.test/%c3%bc", "https://a.test/%C3%BC"),
            ("https://a.test/a%3ab%41", "https://a.test/a%3AbA"),
            ("https://a.test/%", "https://a.test/%"),
            ("https://a.test/%4", "https://a.test/%4"),
            ("https://a.test/%zz%41", "https://a.test/%zzA"),
            ("https://a.test/%+1", "https://a.test/%+1"),
        ] {
            assert_eq!(target_uri(url), htu, "{url}");
        }
    }

    #[test]
    fn each_server_has_its_own_nonce_and_the_newest_counts() {
        let mut nonces = Nonces::default();
        nonces.record("https://a.test/v1/x", Some("a-1"));
        nonces.record("https://b.test/v1/x", Some("b-1"));
        nonces.record("https://a.test:444/", Some("a-444"));
        nonces.record("https://a.test/", Some("a-2"));
        nonces.record("https://b.test/", None);
        assert_eq!(nonces.get("https://a.test/y?z"), Some("a-2"));
        assert_eq!(nonces.get("https://a.test:444/y"), Some("a-444"));
        assert_eq!(nonces.get("https://b.test"), Some("b-1"));
        assert_eq!(nonces.get("https://c.test/"), None);
    }

    #[test]
    fn what_is_no_nonce_is_not_remembered() {
        let long = "x".repeat(MAX_NONCE + 1);
        for bad in ["", "a b", "one, two", "a\"b", "a\\b", "\u{e9}", "\n", &long] {
            let mut nonces = Nonces::default();
            nonces.record("https://a.test/", Some("good"));
            nonces.record("https://a.test/", Some(bad));
            assert_eq!(nonces.get("https://a.test/"), Some("good"), "{bad}");
        }
        assert!(is_nonce(&"x".repeat(MAX_NONCE)));
    }

    #[test]
    fn no_more_servers_are_remembered_than_there_are_rules() {
        let mut nonces = Nonces::default();
        for i in 0..=MAX_SERVERS {
            let url = "https://a.test:".to_owned() + &i.to_string();
            nonces.record(&url, Some("n"));
        }
        assert_eq!(nonces.0.len(), MAX_SERVERS);
    }
}
