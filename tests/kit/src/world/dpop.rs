//! The keys with which a host signs proofs, and a server's checks of proofs (RFC 9449 section 4.3). The signatures are
//! real.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rules::codec::base64url;
use rules::oauth::dpop::{PublicKey, UnsignedProof};
use rules::oauth::pkce;

pub use crate::proof::{Proof, read};
use crate::signer::SigningKey;

use super::invariants::Invariant;

/// A private key and its name.
pub type Named = (String, Rc<SigningKey>);

/// The private keys of one worker.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, Rc<SigningKey>>);

impl Keys {
    pub fn make(&mut self) -> PublicKey {
        let pair = SigningKey::generate();
        let point = pair.point();
        let coordinate = |at: usize| base64url::encode(&point[at..at + 32]);
        let key = PublicKey::new(&coordinate(1), &coordinate(33)).unwrap();
        self.0.insert(key.thumbprint().to_owned(), Rc::new(pair));
        key
    }

    pub fn insert(&mut self, key: Option<&Named>) {
        self.0.extend(key.cloned());
    }

    pub fn named(&self, key: Option<PublicKey>) -> Option<Named> {
        let name = key?.thumbprint().to_owned();
        let key = self.0.get(&name)?.clone();
        Some((name, key))
    }

    pub fn keep(&mut self, names: &[String]) {
        self.0.retain(|name, _| names.contains(name));
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the signed proof, or `None` if this worker does not have the proof's key.
    pub fn sign(&self, proof: &UnsignedProof) -> Option<String> {
        let input = proof.signing_input.expose().as_bytes();
        let signature = self.0.get(&proof.key)?.sign(input);
        Some(proof.signed(&signature).expose().to_owned())
    }
}

/// The result of a server's check: the proof, or an error code (RFC 9449 sections 5, 7.1 and 8).
pub type Verdict = Result<Proof, &'static str>;

/// A server that requires proofs.
#[derive(Default)]
pub struct Checker {
    /// The nonce that proofs must contain, if the server requires one. Each response contains the nonce in a header.
    pub nonce: Option<String>,
    /// Proofs received so far, in order.
    pub proofs: Vec<Proof>,
    /// The value of the `DPoP-Nonce` header, if the server must send another value than `nonce`.
    pub header: Option<String>,
    /// Largest accepted difference of a proof's `iat` from the server's time, in seconds.
    pub tolerance: Option<u64>,
    /// The resource for which access tokens must be issued (RFC 8707), if the server checks the resource.
    pub resource: Option<&'static str>,
    /// True if CORS hides `WWW-Authenticate`.
    pub hides_challenge: bool,
    seen: BTreeSet<String>,
}

impl Checker {
    /// Checks a proof for this method, URL and time. `access_token` is the token sent with the proof.
    pub fn check(
        &mut self,
        proof: Option<&str>,
        (method, url): (&str, &str),
        access_token: Option<&str>,
        now: u64,
    ) -> Verdict {
        let proof = read(proof.ok_or("invalid_dpop_proof")?);
        self.proofs.push(proof.clone());
        let is_new = self.seen.insert(proof.jti.clone());
        Invariant::Proven.holds_if(is_new, || "a proof is used twice".to_owned());
        let bare = url.split(['?', '#']).next().unwrap();
        let is_for_this = (&*proof.htm, &*proof.htu) == (method, bare);
        Invariant::Proven.holds_if(is_for_this, || {
            format!("{} {} for {method} {bare}", proof.htm, proof.htu)
        });
        let ath = access_token.map(|token| base64url::encode(&pkce::sha256(token.as_bytes())));
        Invariant::Proven.holds_if(proof.ath == ath, || "of another token".to_owned());
        let is_off = proof.iat.abs_diff(now / 1000) > self.tolerance.unwrap_or(u64::MAX);
        if self.nonce.is_some() && proof.nonce != self.nonce {
            Err("use_dpop_nonce")
        } else if is_off {
            Err("invalid_dpop_proof")
        } else {
            Ok(proof)
        }
    }

    /// Returns the `DPoP-Nonce` header of every response, or `None` if responses have no such header.
    pub fn header(&self) -> Option<String> {
        self.header.clone().or_else(|| self.nonce.clone())
    }
}
