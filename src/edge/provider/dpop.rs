//! DPoP on the server (RFC 9449): a key for each login and its session, a fresh proof for each token request and each
//! forwarded request, and the nonces that servers require in proofs.
//!
//! The private key is sealed in the login's cookie and later with the session, since any isolate may have to sign with
//! it. The handler never falls back to bearer tokens.

use rules::prelude::*;

use crate::io::{Effect, Head, Reply};
use crate::provider::requests;
use crate::store::lease;
use crate::task::Task;
use rules::Secret;
use rules::base::error::{Code, Error, Result};
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::json::{Value, Writer};
use rules::codec::url::Url;
use rules::oauth::dpop::{self, ProofParams, ProvenRequest, PublicKey, UnsignedProof};
use rules::oauth::jwks::Algorithm;
use rules::oauth::www_authenticate;

/// A private key and its public key.
pub(crate) struct KeyPair {
    pub(crate) public: PublicKey,
    pub(crate) private: Secret,
}

impl KeyPair {
    /// Reads a private JWK. Keeps only the members that ES256 needs, and writes them on one line. Returns `None` if the
    /// JWK is not a private key for ES256.
    pub(crate) fn from_jwk(jwk: &str) -> Option<Self> {
        let value = Value::parse(jwk).ok()?;
        let jwk = value.as_object()?;
        let public = PublicKey::from_jwk(jwk)?;
        if jwk.str("kty") != Some("EC") || jwk.str("crv") != Some("P-256") {
            return None;
        }
        let private = jwk.str("d")?;
        rules::codec::base64url::decode(private).filter(|bytes| bytes.len() == 32)?;
        let jwk = Writer::object()
            .text("kty", "EC")
            .text("crv", "P-256")
            .text("x", jwk.str("x")?)
            .text("y", jwk.str("y")?)
            .text("d", private)
            .finish();
        Some(Self {
            public,
            private: Secret::new(jwk),
        })
    }
}

/// Returns true if an upstream asks for another nonce (RFC 9449 9).
pub(crate) fn asks_for_nonce(head: &Head) -> bool {
    let challenge = head.challenge.as_deref().unwrap_or_default();
    head.status == 401 && www_authenticate::has_error(challenge, "use_dpop_nonce")
}

/// Generates a key pair for a login. Returns `None` if tokens are not bound to a key.
pub(crate) async fn generate_key_pair(task: &Task) -> Result<Option<KeyPair>> {
    if !task.config().flow.uses_dpop {
        return Ok(None);
    }
    let pair = match task.perform(Effect::GenerateKey).await {
        Reply::Key(jwk) => KeyPair::from_jwk(jwk.expose()),
        _ => None,
    };
    match pair {
        Some(pair) => Ok(Some(pair)),
        None => Err(Error::new(
            Code::Unsupported,
            msg!("the host could not generate a key for DPoP"),
        )),
    }
}

/// Returns the provider's clock in milliseconds minus the shared one, as far as it is known.
fn provider_offset(task: &Task) -> i64 {
    task.isolate().clock.provider_offset(&task.own_time())
}

/// Sends a token request with the client's authentication, and with a proof if the tokens have a DPoP key. If the
/// provider asks for a new nonce, or its response shows that its clock differs from the time in the proof, repeats the
/// request once (RFC 9449 8).
pub(crate) async fn send_proven(
    task: &Task,
    mut request: HttpRequest,
    key: Option<&Secret>,
) -> Outcome {
    requests::name_client_once(task, &mut request);
    let Some(key) = key else {
        return requests::send_as_client(task, request, None).await;
    };
    let isolate = task.isolate();
    let nonces = &isolate.provider_nonces;
    let mut proven = ProvenRequest::default();
    loop {
        // Use the normalized form of the URL, which the provider's server sees.
        let url = Url::parse(&request.url);
        let url = url.as_ref().map_or(&*request.url, Url::href);
        let nonce = proven
            .prove(&nonces.borrow(), url, provider_offset(task))
            .map(ToOwned::to_owned);
        let proof = prove(task, key, ("POST", url), None, nonce.as_deref()).await;
        let Some(proof) = proof else {
            return Outcome::Failed;
        };
        let began = task.own_time();
        let outcome = requests::send_as_client(task, request.clone(), Some(proof)).await;
        let Outcome::Reply(reply) = &outcome else {
            return outcome;
        };
        if let Some(date) = reply.date.filter(|_| !isolate.lateness.was_since(&began)) {
            isolate.clock.learn_provider(date, &began, &task.own_time());
        }
        let offset = provider_offset(task);
        let is_again = proven.on_token_response(&mut nonces.borrow_mut(), url, reply, offset);
        // A flight that refreshes checks its lease before each request.
        if !is_again || task.flight().is_some() && !lease::outlasts_a_write(task) {
            return outcome;
        }
    }
}

/// Sends a request with an access token to an address other than an upstream, with a proof if the token is bound to a
/// key. If the server asks for a new nonce, repeats the request once, with that nonce (RFC 9449 9).
pub(crate) async fn send_with_token(
    task: &Task,
    request: HttpRequest,
    access_token: &Secret,
    key: Option<&Secret>,
) -> Outcome {
    let authorization = |scheme| Secret::new([scheme, access_token.expose()].concat());
    let Some(key) = key else {
        return requests::send(task, request, Some(authorization("Bearer ")), None).await;
    };
    let mut proven = ProvenRequest::default();
    loop {
        let target = (request.method(), &*request.url);
        let Some(proof) = prove_call(task, key, target, access_token, &mut proven).await else {
            return Outcome::Failed;
        };
        let with_token = Some(authorization("DPoP "));
        let outcome = requests::send(task, request.clone(), with_token, Some(proof)).await;
        let Outcome::Reply(reply) = &outcome else {
            return outcome;
        };
        let nonce = reply.dpop_nonce.as_deref();
        if !is_proven_again(task, &mut proven, &request.url, nonce, reply.status == 401) {
            return outcome;
        }
    }
}

/// Creates the proof for a request to an upstream. Returns `None` if the host could not sign the proof.
pub(crate) async fn prove_call(
    task: &Task,
    key: &Secret,
    target: (&str, &str),
    access_token: &Secret,
    proven: &mut ProvenRequest,
) -> Option<Secret> {
    let isolate = task.isolate();
    let nonce = {
        let nonces = isolate.upstream_nonces.borrow();
        proven
            .prove(&nonces, target.1, provider_offset(task))
            .map(ToOwned::to_owned)
    };
    prove(task, key, target, Some(access_token), nonce.as_deref()).await
}

/// Handles an upstream's response, with the value of its header `DPoP-Nonce`: see [`ProvenRequest::on_resource_response`].
pub(crate) fn is_proven_again(
    task: &Task,
    proven: &mut ProvenRequest,
    url: &str,
    nonce: Option<&str>,
    may_repeat: bool,
) -> bool {
    let mut nonces = task.isolate().upstream_nonces.borrow_mut();
    proven.on_resource_response(&mut nonces, url, nonce, may_repeat)
}

async fn prove(
    task: &Task,
    key: &Secret,
    (method, url): (&str, &str),
    access_token: Option<&Secret>,
    nonce: Option<&str>,
) -> Option<Secret> {
    let offset = provider_offset(task);
    let proof = match KeyPair::from_jwk(key.expose()) {
        Some(pair) => {
            let purpose = ProofParams {
                method,
                url,
                access_token,
                nonce,
                issued_at: task.now().wall.saturating_add_signed(offset) / 1000,
                jti: task.isolate().random::<{ dpop::JTI }>(),
            };
            let unsigned = UnsignedProof::new(&pair.public, &purpose);
            let effect = Effect::Sign {
                algorithm: Algorithm::Es256,
                jwk: pair.private,
                signing_input: unsigned.signing_input.clone(),
            };
            match task.perform(effect).await {
                Reply::Signed(signature) => Some(unsigned.signed(&signature)),
                _ => None,
            }
        }
        None => None,
    };
    if proof.is_none() {
        task.fault_of(
            Code::Unsupported,
            &[msg!("the host could not sign a DPoP proof")],
        );
    }
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_p256_keys_are_taken() {
        let number = "A".repeat(43);
        let jwk = |kty: &str, crv: &str, d: &str| {
            let mut jwk = Writer::object();
            jwk.text("kty", kty).text("crv", crv).text("x", &number);
            jwk.text("y", &number).text("d", d).finish()
        };
        assert!(KeyPair::from_jwk(&jwk("EC", "P-256", &number)).is_some());
        assert!(KeyPair::from_jwk(&jwk("EC", "P-384", &number)).is_none());
        assert!(KeyPair::from_jwk(&jwk("OKP", "P-256", &number)).is_none());
        assert!(KeyPair::from_jwk(&jwk("EC", "P-256", "AAAA")).is_none());
    }
}
