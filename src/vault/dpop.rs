//! DPoP in the vault (RFC 9449): one key for each login and its session, a fresh proof for each token request and each
//! request with a token, and the nonces that servers require in them.
//!
//! The core builds the proof. The host signs the proof and sends it in the request that it was built for. The request
//! and the unsigned proof are one output, so the core cannot handle a logout, an abort or a limit between the two.
//!
//! Revocation requests have no proof, because RFC 9449 defines proofs only for token requests and for requests to APIs.

use crate::context::{Context, Purpose};
use crate::io::{OpId, Output, ResponseHead};
use rules::base::error::{Code, Error};
use rules::base::http::{HttpRequest, Outcome};
use rules::codec::url::Url;
use rules::egress::policy::Allowed;
use rules::login::authorization_request::Pending;
use rules::oauth::dpop::{JTI, Nonces, ProofParams, PublicKey, UnsignedProof};
use rules::oauth::token_endpoint::{self, Scheme, TokenResponse};
use rules::oauth::www_authenticate;
use rules::prelude::*;
use rules::session::Session;

/// Smallest change of the known clock offset, in milliseconds, after which a token request with a refused proof is sent
/// again.
const CLOCK_STEP: u64 = 1000;

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
    nonce: Option<String>,
    /// The value of [`Context::clock_offset`] when the proof was made.
    clock_offset: i64,
    was_repeated: bool,
}

/// The state of the DPoP proof of one call.
pub(super) struct Proven {
    /// The nonce in the proof.
    nonce: Option<String>,
    /// True if the request was already sent a second time, with another nonce.
    was_repeated: bool,
}

impl Proven {
    /// The state before the call is first sent.
    pub(super) const NONE: Self = Self {
        nonce: None,
        was_repeated: false,
    };
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
            nonce: None,
            clock_offset: 0,
            was_repeated: false,
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
        let sent = self.sent.swap_remove(i);
        let Outcome::Reply(reply) = outcome else {
            return None;
        };
        let url = &*sent.htu;
        if sent.request.access_token.is_some() {
            self.api_nonces.record(url, reply.dpop_nonce.as_deref());
            let nonce = self.api_nonces.get(url);
            let may_help = reply.status == 401 && nonce.is_some() && nonce != sent.nonce.as_deref();
            return (may_help && !sent.was_repeated).then_some(sent);
        }
        // control: provider_nonce_is_used
        self.provider_nonces
            .record(url, reply.dpop_nonce.as_deref());
        let TokenResponse::Refused(code) = token_endpoint::read(reply, Scheme::Dpop.into()) else {
            return None;
        };
        let may_help = match code.as_str() {
            "use_dpop_nonce" => {
                let nonce = self.provider_nonces.get(url);
                nonce.is_some() && nonce != sent.nonce.as_deref()
            }
            "invalid_dpop_proof" => sent.clock_offset.abs_diff(ctx.clock_offset) >= CLOCK_STEP,
            _ => false,
        };
        (may_help && !sent.was_repeated).then_some(sent)
    }

    /// Sends a token request again, under the same operation number.
    pub(super) fn repeat(&mut self, ctx: &mut Context, purpose: Purpose, mut sent: TokenRequest) {
        sent.was_repeated = true;
        ctx.resume_operation(sent.op, purpose);
        self.send(ctx, sent);
    }

    /// Builds the proof for a call that is about to be sent with an access token of the session.
    pub(super) fn prove_call(
        &self,
        ctx: &mut Context,
        allowed: &Allowed,
        proven: &mut Proven,
    ) -> Option<UnsignedProof> {
        let jti = ctx.config.flow.uses_dpop.then(|| jti(ctx))?;
        let session = ctx.session.as_deref()?;
        let url = allowed.url();
        let nonce = self.api_nonces.get(url);
        let proof = UnsignedProof::new(
            session.dpop_key()?,
            &ProofParams {
                method: allowed.method(),
                url,
                // control: proof_matches_its_token
                access_token: session.latest_access_token_of(allowed.token_selector()),
                nonce,
                issued_at: ctx.provider_seconds(),
                jti,
            },
        );
        proven.nonce = nonce.map(ToOwned::to_owned);
        Some(proof)
    }

    /// Handles the response to a call. Returns true if the API requires another nonce (RFC 9449 9), and the call may
    /// succeed when it is sent again with that nonce. `can_repeat` is true if the call can be sent again.
    pub(super) fn on_call_response(
        &mut self,
        url: &str,
        proven: &mut Proven,
        head: &ResponseHead,
        can_repeat: bool,
    ) -> bool {
        self.api_nonces.record(url, head.dpop_nonce.as_deref());
        let nonce = self.api_nonces.get(url);
        // If the API's CORS headers do not expose `WWW-Authenticate`, a `DPoP-Nonce` header counts as the demand for a
        // nonce.
        let asks = match &head.www_authenticate {
            Some(challenge) => www_authenticate::has_error(challenge, "use_dpop_nonce"),
            None => head.dpop_nonce.is_some(),
        };
        let may_help = head.status == 401
            && asks
            && nonce.is_some()
            && nonce != proven.nonce.as_deref()
            && can_repeat;
        may_help && !core::mem::replace(&mut proven.was_repeated, true)
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
        sent.nonce = nonces.get(url).map(ToOwned::to_owned);
        sent.clock_offset = ctx.clock_offset;
        let proof = UnsignedProof::new(
            &sent.key,
            &ProofParams {
                method: sent.request.method(),
                url,
                access_token,
                nonce: sent.nonce.as_deref(),
                issued_at: ctx.provider_seconds(),
                jti: jti(ctx),
            },
        );
        let mut request = sent.request.clone();
        request.proof = Some(proof);
        let op = sent.op;
        self.sent.push(sent);
        ctx.outputs.push(Output::Send { op, request });
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

pub(super) fn key_lost(code: Code) -> Error {
    Error::new(code, msg!("the DPoP key of the tokens is gone"))
}
