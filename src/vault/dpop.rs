//! DPoP in the vault (RFC 9449): one key for each login and its session, a fresh proof for each token request and each
//! request with a token, and the nonces that servers require in them.
//!
//! The core builds the proof. The host signs the proof and sends it in the request that it was built for. The request
//! and the unsigned proof are one output, so the core cannot handle a logout, an abort or a limit between the two.
//!
//! Revocation requests have no proof, because RFC 9449 defines proofs only for token requests and for requests to APIs.

use crate::context::{Context, Purpose};
use crate::io::{OpId, Output, ResponseHead};
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::url::Url;
use rules::egress::policy::Allowed;
use rules::login::authorization_request::Pending;
pub(super) use rules::oauth::dpop::key_lost;
use rules::oauth::dpop::{JTI, Nonces, ProofParams, ProvenRequest, PublicKey, UnsignedProof};
use rules::oauth::www_authenticate;
use rules::prelude::*;
use rules::session::Session;

/// The nonces of servers, the keys, and the token requests that carry a proof.
#[derive(Default)]
pub(super) struct Dpop {
    provider_nonces: Nonces,
    api_nonces: Nonces,
    /// The token requests with a proof that are in flight.
    sent: Vec<TokenRequest>,
    /// The thumbprints of the keys in the last [`Output::KeepKeys`].
    kept: Vec<String>,
}

/// A token request with a proof, or the request for a profile.
pub(super) struct TokenRequest {
    op: OpId,
    request: HttpRequest,
    /// The normalized URL for the proof's claim `htu`. The URL in the metadata may be written in another form.
    htu: String,
    key: PublicKey,
    proven: ProvenRequest,
}

impl Dpop {
    /// Sends a token request, or the request for a profile. If `key` is given, the request has a proof. The tokens of a
    /// token request will be bound to that key.
    pub(super) fn send_proven(
        &mut self,
        ctx: &mut Context,
        purpose: Purpose,
        request: HttpRequest,
        key: Option<PublicKey>,
    ) -> OpId {
        let Some(key) = key else {
            return ctx.send(purpose, request);
        };
        let op = ctx.begin_limited(purpose);
        let sent = TokenRequest {
            op,
            htu: match Url::parse(&request.url) {
                Some(url) => url.href().to_owned(),
                None => request.url.clone(),
            },
            request,
            key,
            proven: ProvenRequest::default(),
        };
        self.send(ctx, sent);
        op
    }

    /// Handles the response to a token request with a proof. Returns the request if it was refused but may succeed when
    /// it is sent again, because the provider requires a new nonce (RFC 9449 8), or because the response has shown that
    /// the provider's clock differs from the time in the proof.
    pub(super) fn on_response(
        &mut self,
        ctx: &Context,
        op: OpId,
        outcome: &Outcome,
    ) -> Option<TokenRequest> {
        let i = self.sent.iter().position(|sent| sent.op == op)?;
        let mut sent = self.sent.swap_remove(i);
        let Outcome::Reply(reply) = outcome else {
            return None;
        };
        let TokenRequest {
            request,
            htu,
            proven,
            ..
        } = &mut sent;
        let is_again = if request.access_token.is_some() {
            let nonce = reply.dpop_nonce.as_deref();
            proven.on_resource_response(&mut self.api_nonces, htu, nonce, reply.status == 401)
        } else {
            proven.on_token_response(&mut self.provider_nonces, htu, reply, ctx.clock_offset)
        };
        is_again.then_some(sent)
    }

    /// Sends a token request again, under the same operation number.
    pub(super) fn repeat(&mut self, ctx: &mut Context, purpose: Purpose, sent: TokenRequest) {
        ctx.resume_operation(sent.op, purpose);
        self.send(ctx, sent);
    }

    /// Builds the proof for a call that is about to be sent with an access token of the session.
    pub(super) fn prove_call(
        &self,
        ctx: &mut Context,
        allowed: &Allowed,
        proven: &mut ProvenRequest,
    ) -> Option<UnsignedProof> {
        let jti = ctx.config.flow.uses_dpop.then(|| jti(ctx))?;
        let session = ctx.session.as_deref()?;
        let url = allowed.url();
        Some(UnsignedProof::new(
            session.dpop_key()?,
            &ProofParams {
                method: allowed.method(),
                url,
                // control: proof_matches_its_token
                access_token: session.latest_access_token_of(allowed.token_selector()),
                nonce: proven.prove(&self.api_nonces, url, ctx.clock_offset),
                issued_at: ctx.provider_seconds(),
                jti,
            },
        ))
    }

    /// Handles the response to a call. Returns true if the API requires another nonce (RFC 9449 9), and the call may
    /// succeed when it is sent again with that nonce. `can_repeat` is true if the call can be sent again.
    pub(super) fn on_call_response(
        &mut self,
        url: &str,
        proven: &mut ProvenRequest,
        head: &ResponseHead,
        can_repeat: bool,
    ) -> bool {
        // If the API's CORS headers do not expose `WWW-Authenticate`, a `DPoP-Nonce` header counts as the demand for a
        // nonce.
        let asks = match &head.www_authenticate {
            Some(challenge) => www_authenticate::has_error(challenge, "use_dpop_nonce"),
            None => head.dpop_nonce.is_some(),
        };
        let may_repeat = head.status == 401 && asks && can_repeat;
        let nonce = head.dpop_nonce.as_deref();
        proven.on_resource_response(&mut self.api_nonces, url, nonce, may_repeat)
    }

    /// Tells the host which keys to keep, if the list has changed. `names` are the thumbprints of these keys.
    pub(super) fn keep_keys(&mut self, ctx: &mut Context, names: Vec<String>) {
        if names != self.kept {
            self.kept.clone_from(&names);
            ctx.outputs.push(Output::KeepKeys { names });
        }
    }

    /// Sends a token request with a proof.
    fn send(&mut self, ctx: &mut Context, mut sent: TokenRequest) {
        let url = &*sent.htu;
        let access_token = sent.request.access_token.as_ref();
        let nonces = match access_token {
            Some(_) => &self.api_nonces,
            None => &self.provider_nonces,
        };
        let proof = UnsignedProof::new(
            &sent.key,
            &ProofParams {
                method: sent.request.method(),
                url,
                access_token,
                nonce: sent.proven.prove(nonces, url, ctx.clock_offset),
                issued_at: ctx.provider_seconds(),
                jti: jti(ctx),
            },
        );
        let mut request = sent.request.clone();
        request.proof = Some(proof);
        let op = sent.op;
        self.sent.push(sent);
        ctx.send_as(op, request);
    }
}

/// Asks the host for a new key.
pub(super) fn make_key(ctx: &mut Context) -> OpId {
    let op = ctx.begin_limited(Purpose::MakeKey);
    ctx.outputs.push(Output::MakeKey { op });
    op
}

/// Returns the DPoP key of a session.
pub(super) fn key_of_session(session: &Session) -> Option<PublicKey> {
    session.dpop_key().cloned()
}

/// Returns the DPoP key of a login.
pub(super) fn key_of_login(pending: &Pending) -> Option<PublicKey> {
    pending.dpop_key.clone()
}

fn jti(ctx: &mut Context) -> [u8; JTI] {
    let mut jti = [0; JTI];
    // control: proofs_are_unique
    ctx.entropy.fill(&mut jti);
    jti
}
