//! Proofs of possession (`DPoP`, RFC 9449): tokens that are valid only together with a private key, which never leaves
//! the host.
//!
//! The host creates an ES256 key pair, whose private key cannot be extracted, and passes the [`PublicKey`] to the core.
//! A token request, or a request with an access token, carries a proof: a JWT with the method, the URL, the time and,
//! if there is an access token, its hash. The core writes the proof without its signature ([`UnsignedProof`]). The host
//! signs the proof with the private key when it sends the request.

use crate::prelude::*;
use alloc::rc::Rc;

use crate::Secret;
use crate::base::error::{Code, Error};
use crate::base::http::HttpReply;
use crate::base::strings;
use crate::codec::base64url;
use crate::codec::json::{Object, Writer};
use crate::codec::url;
use crate::oauth::pkce;
use crate::oauth::token_endpoint::{self, Scheme, TokenResponse};

pub use crate::base::proof::UnsignedProof;

/// Number of random bytes in the `jti` of a proof: 128 bits. RFC 9449 4.2 requires at least 96 bits.
pub const JTI: usize = 16;

/// Longest nonce that is accepted from a server, in bytes.
pub const MAX_NONCE: usize = 1024;

/// Largest number of servers whose nonces a [`Nonces`] contains. A configuration has at most 100 API rules.
const MAX_SERVERS: usize = 100;

/// Smallest change of the known difference between two clocks, in milliseconds, after which a refused proof is made again.
const CLOCK_STEP: u64 = 1000;

/// Bytes in a coordinate of a point on P-256.
const COORDINATE: usize = 32;

/// Returns the error for tokens whose private key the host no longer has.
pub fn key_lost(code: Code) -> Error {
    Error::new(code, msg!("the DPoP key of the tokens is gone"))
}

/// The public key of an ES256 key pair (RFC 7518 3.4). Clones share one allocation, because the login, the session and
/// each token request have a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Rc<KeyEncodings>);

#[derive(Debug, PartialEq, Eq)]
struct KeyEncodings {
    jwk: String,
    thumbprint: String,
    /// The JOSE header of the key's proofs, in base64url.
    header: String,
}

impl PublicKey {
    /// Creates a key from its coordinates, in base64url. Returns `None` if a coordinate is not base64url, or does not
    /// have the length of P-256.
    #[must_use]
    pub fn new(x: &str, y: &str) -> Option<Self> {
        for coordinate in [x, y] {
            base64url::decode(coordinate).filter(|bytes| bytes.len() == COORDINATE)?;
        }
        // The thumbprint is the hash of the required members in lexicographic order (RFC 7638 3).
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
        let encodings = KeyEncodings {
            thumbprint: base64url::encode(&pkce::sha256(jwk.as_bytes())),
            header: base64url::encode(header.as_bytes()),
            jwk,
        };
        Some(Self(Rc::new(encodings)))
    }

    /// Parses the output of [`Self::jwk`].
    #[must_use]
    pub fn from_jwk(jwk: &Object) -> Option<Self> {
        Self::new(jwk.str("x")?, jwk.str("y")?)
    }

    /// Returns the key as a JWK in JSON (RFC 7517), without private members.
    #[must_use]
    pub fn jwk(&self) -> &str {
        &self.0.jwk
    }

    /// Returns the SHA-256 thumbprint in base64url (RFC 7638). The thumbprint identifies the key pair between host and
    /// core, and is `dpop_jkt` in the authorization request (RFC 9449 10).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }
}

/// The input of a proof (RFC 9449 4.2).
#[derive(Clone, Copy, Debug)]
pub struct ProofParams<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's URL, as the URL parser serializes it.
    pub url: &'a str,
    /// The access token in the request, if any: its hash becomes `ath`.
    pub access_token: Option<&'a Secret>,
    /// The last nonce of the server, if it sends nonces (RFC 9449 8 and 9).
    pub nonce: Option<&'a str>,
    /// The best estimate of the server's time, in seconds since the Unix epoch.
    pub issued_at: u64,
    /// Random bytes that make the proof unique.
    pub jti: [u8; JTI],
}

impl UnsignedProof {
    /// Writes a proof of possession of `key`.
    #[must_use]
    pub fn new(key: &PublicKey, params: &ProofParams<'_>) -> Self {
        let ath = params.access_token.map(|token| {
            let hash = pkce::sha256(token.expose().as_bytes());
            base64url::encode(&hash)
        });
        let mut claims = Writer::object();
        claims
            .text("jti", &base64url::encode(&params.jti))
            .text("htm", params.method)
            .text("htu", &target_uri(params.url))
            .number("iat", params.issued_at);
        for (name, value) in [("ath", ath.as_deref()), ("nonce", params.nonce)] {
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

    /// Returns the complete proof, which is the value of the `DPoP` header.
    #[must_use]
    pub fn signed(&self, signature: &[u8]) -> Secret {
        let signature = base64url::encode(signature);
        Secret::new([self.signing_input.expose(), ".", &signature].concat())
    }
}

/// Returns the `htu` claim (RFC 9449 4.2): the URL without query and fragment. The URL parser has normalized letter
/// case, default port and dot segments. This function normalizes percent-encoding (RFC 3986 6.2.2).
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
        let byte = escape.and_then(|escape| u8::from_str_radix(escape, 16).ok());
        let rest = match (byte, escape) {
            (Some(byte), _) if is_unreserved(byte) => {
                normal.push(byte.into());
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

/// Returns true for unreserved characters (RFC 3986 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || strings::contains_byte(b"-._~", byte)
}

/// The last nonce of each server, by origin (RFC 9449 8 and 9). The provider's nonces and the APIs' nonces are kept in
/// separate instances of this type, since the provider and an API may share an origin.
#[derive(Debug, Default)]
pub struct Nonces(Vec<(String, String)>);

impl Nonces {
    /// Records `header`, the `DPoP-Nonce` header of a response from `url`, in place of the server's previous nonce.
    /// Ignores an invalid nonce. Once the nonces of 100 servers are known, ignores the nonces of other servers.
    pub fn record(&mut self, url: &str, header: Option<&str>) {
        let Some(nonce) = header.filter(|nonce| is_nonce(nonce)) else {
            return;
        };
        let origin = url::origin(url);
        if let Some((_, known)) = self.0.iter_mut().find(|(of, _)| of == origin) {
            nonce.clone_into(known);
        } else if self.0.len() < MAX_SERVERS {
            self.0.push((origin.to_owned(), nonce.to_owned()));
        }
    }

    /// Returns the nonce for a request to `url`.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&str> {
        let origin = url::origin(url);
        let known = self.0.iter().find(|(of, _)| of == origin);
        known.map(|(_, nonce)| nonce.as_str())
    }
}

/// A request that carries a proof. After the response it says whether the request may succeed with another proof, once: the
/// server requires a new nonce (RFC 9449 8 and 9), or its clock differs from the time in the proof.
#[derive(Debug, Default)]
pub struct ProvenRequest {
    nonce: Option<String>,
    clock_offset: i64,
    was_repeated: bool,
}

impl ProvenRequest {
    /// Begins a proof for a request to `url`, and returns its nonce. `clock_offset` is the known difference in milliseconds
    /// between the provider's clock and this one.
    pub fn prove(&mut self, nonces: &Nonces, url: &str, clock_offset: i64) -> Option<&str> {
        self.nonce = nonces.get(url).map(ToOwned::to_owned);
        self.clock_offset = clock_offset;
        self.nonce.as_deref()
    }

    /// Handles the response of a token endpoint. Returns true if the request is to be sent again.
    pub fn on_token_response(
        &mut self,
        nonces: &mut Nonces,
        url: &str,
        reply: &HttpReply,
        clock_offset: i64,
    ) -> bool {
        // control: provider_nonce_is_used
        nonces.record(url, reply.dpop_nonce.as_deref());
        let TokenResponse::Refused(code) = token_endpoint::read(reply, Scheme::Dpop.into()) else {
            return false;
        };
        let may_help = match code.as_str() {
            "use_dpop_nonce" => self.is_new_nonce(nonces, url),
            "invalid_dpop_proof" => self.clock_offset.abs_diff(clock_offset) >= CLOCK_STEP,
            _ => false,
        };
        may_help && self.is_first()
    }

    /// Handles the response of a server of resources, with the value of its header `DPoP-Nonce`. `may_repeat` is true if the
    /// response asks for a nonce, and the request can be sent again. Returns true if it is to be sent again.
    pub fn on_resource_response(
        &mut self,
        nonces: &mut Nonces,
        url: &str,
        nonce: Option<&str>,
        may_repeat: bool,
    ) -> bool {
        nonces.record(url, nonce);
        may_repeat && self.is_new_nonce(nonces, url) && self.is_first()
    }

    fn is_new_nonce(&self, nonces: &Nonces, url: &str) -> bool {
        nonces
            .get(url)
            .is_some_and(|nonce| Some(nonce) != self.nonce.as_deref())
    }

    fn is_first(&mut self) -> bool {
        !core::mem::replace(&mut self.was_repeated, true)
    }
}

/// Returns true for a valid nonce (RFC 9449 8.1). The joined value of two `DPoP-Nonce` headers is not valid, because it
/// contains a space.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    let is_nqchar = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    (1..=MAX_NONCE).contains(&text.len()) && text.bytes().all(is_nqchar)
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
            let bytes = base64url::decode(part).unwrap();
            let value = Value::parse(core::str::from_utf8(&bytes).unwrap()).unwrap();
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
    fn proof_header_has_type_algorithm_and_public_key() {
        let (header, _) = parts(&UnsignedProof::new(&key(), &USE));
        assert_eq!(names(&header), ["typ", "alg", "jwk"]);
        assert_eq!(header.str("typ"), Some("dpop+jwt"));
        assert_eq!(header.str("alg"), Some("ES256"));
        let jwk = header.get("jwk").unwrap().as_object().unwrap();
        assert_eq!(names(jwk), ["crv", "kty", "x", "y"]);
        assert_eq!(PublicKey::from_jwk(jwk), Some(key()));
    }

    #[test]
    fn claims_contain_method_url_and_time() {
        let (_, claims) = parts(&UnsignedProof::new(&key(), &USE));
        assert_eq!(names(&claims), ["jti", "htm", "htu", "iat"]);
        assert_eq!(claims.str("htm"), Some("GET"));
        assert_eq!(claims.str("htu"), Some("https://api.test/v1/a"));
        assert_eq!(claims.get("iat").unwrap().as_u64(), Some(1_562_262_616));
        assert_eq!(claims.str("jti"), Some("BwcHBwcHBwcHBwcHBwcHBw"));
    }

    #[test]
    fn ath_and_nonce_are_included_when_given() {
        let token = Secret::from("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        let params = ProofParams {
            access_token: Some(&token),
            nonce: Some("n-1"),
            ..USE
        };
        let (_, claims) = parts(&UnsignedProof::new(&key(), &params));
        // This value is from the example in RFC 9449 7.1.
        let ath = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
        assert_eq!(claims.str("ath"), Some(ath));
        assert_eq!(claims.str("nonce"), Some("n-1"));
    }

    #[test]
    fn proof_is_signing_input_and_signature() {
        let unsigned = UnsignedProof::new(&key(), &USE);
        let proof = unsigned.signed(&[0xff; 3]);
        let (input, signature) = proof.expose().rsplit_once('.').unwrap();
        assert_eq!(input, unsigned.signing_input.expose());
        assert_eq!(signature, "____");
    }

    #[test]
    fn rejects_coordinates_of_other_lengths() {
        let short = &X[..42];
        for (x, y) in [("", Y), (X, ""), (short, Y), (X, "=="), ("\"", Y)] {
            assert_eq!(PublicKey::new(x, y), None, "{x} {y}");
        }
    }

    #[test]
    fn htu_is_normalized_by_rfc_3986() {
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
    fn each_server_has_its_newest_nonce() {
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
    fn malformed_nonces_are_not_recorded() {
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
    fn nonces_of_100_servers_are_kept() {
        let mut nonces = Nonces::default();
        for i in 0..=MAX_SERVERS {
            let url = "https://a.test:".to_owned() + &i.to_string();
            nonces.record(&url, Some("n"));
        }
        assert_eq!(nonces.0.len(), MAX_SERVERS);
    }
}
