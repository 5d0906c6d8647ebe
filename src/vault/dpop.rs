//! DPoP in the vault (RFC 9449): one key for each login and its session, a fresh proof for each token request and each
//! request with a token, and the nonces that servers require in proofs.
//!
//! The core writes the proof; the host signs it and sends it with its request. No logout, abort or limit can come
//! between the two.
//!
//! Revocations carry no proof: RFC 9449 defines proofs for token requests and for APIs.

use crate::base::error::{Code, Error};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::url::Url;
use crate::egress::policy::Allowed;
use crate::oauth::authorization_request::Pending;
use crate::oauth::dpop::{JTI, Nonces, ProofParams, PublicKey, UnsignedProof};
use crate::oauth::token_endpoint::{self, Scheme, TokenResponse};
use crate::oauth::www_authenticate;
use crate::prelude::*;
use crate::session::Session;
use crate::vault::context::{Context, Purpose};
use crate::vault::io::{OpId, Output, ResponseHead};

/// Smallest change of the provider's time, in milliseconds, that makes a second attempt with a refused proof worthwhile.
const CLOCK_STEP: u64 = 1000;

/// State for DPoP: nonces, keys, and token requests that carry a proof.
#[derive(Default)]
pub(super) struct Dpop {
    provider_nonces: Nonces,
    api_nonces: Nonces,
    /// Token requests in flight.
    sent: Vec<TokenRequest>,
    /// The keys that the host was last told to keep.
    kept: Vec<String>,
}

/// A token request that has a proof.
pub(super) struct TokenRequest {
    op: OpId,
    request: HttpRequest,
    /// The URL in the form that the server reads: metadata may contain another form.
    htu: String,
    key: PublicKey,
    nonce: Option<String>,
    /// [`Context::clock_offset`] when the proof was made.
    clock_offset: i64,
    was_repeated: bool,
}

/// The key that tokens are bound to.
pub(super) type BindingKey = PublicKey;

/// The state of the DPoP proof of one call.
pub(super) struct Proven {
    /// The nonce in the proof.
    nonce: Option<String>,
    /// True if the request was sent once more, with another nonce.
    was_repeated: bool,
}

impl Proven {
    /// The state of a call that was not sent yet.
    pub(super) const NONE: Self = Self {
        nonce: None,
        was_repeated: false,
    };
}

impl Dpop {
    /// Sends a token request, with a proof if tokens are to be bound to `key`.
    pub(super) fn send_proven(
        &mut self,
        ctx: &mut Context,
        purpose: Purpose,
        request: HttpRequest,
        key: Option<PublicKey>,
    ) -> OpId {
        let op = ctx.begin_limited(purpose);
        match key {
            Some(key) => self.send_with_proof(
                ctx,
                TokenRequest {
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
                },
            ),
            None => ctx.outputs.push(Output::Send { op, request }),
        }
        op
    }

    fn send_with_proof(&mut self, ctx: &mut Context, mut sent: TokenRequest) {
        let url = &*sent.htu;
        sent.nonce = self.provider_nonces.get(url).map(ToOwned::to_owned);
        sent.clock_offset = ctx.clock_offset;
        let proof = UnsignedProof::new(
            &sent.key,
            &ProofParams {
                method: "POST",
                url,
                access_token: None,
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

    /// Handles the response to a token request. Returns the request if it may succeed with the nonce that the
    /// provider asks for (RFC 9449 8), or with the provider's time, which was unknown before.
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
        // control: provider_nonce_is_used
        self.provider_nonces
            .record(url, reply.dpop_nonce.as_deref());
        let TokenResponse::Refused(code) = token_endpoint::read(reply, Scheme::Dpop) else {
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

    /// Sends a token request again, as the same operation.
    pub(super) fn repeat(&mut self, ctx: &mut Context, purpose: Purpose, mut sent: TokenRequest) {
        sent.was_repeated = true;
        ctx.resume_operation(sent.op, purpose);
        self.send_with_proof(ctx, sent);
    }

    /// Makes the proof for a call that is about to be sent with the session's access token.
    pub(super) fn prove_call(
        &self,
        ctx: &mut Context,
        allowed: &Allowed,
        proven: &mut Proven,
    ) -> Option<UnsignedProof> {
        let jti = ctx.config.binds_tokens().then(|| jti(ctx))?;
        let session = ctx.session.as_deref()?;
        let url = allowed.url();
        let nonce = self.api_nonces.get(url);
        let proof = UnsignedProof::new(
            session.key()?,
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

    /// Handles the response to a call. Returns true if the call may succeed with the nonce that the API asks for (RFC
    /// 9449 9). `can_repeat` is true if it can be sent again.
    pub(super) fn on_call_response(
        &mut self,
        url: &str,
        proven: &mut Proven,
        head: &ResponseHead,
        can_repeat: bool,
    ) -> bool {
        self.api_nonces.record(url, head.dpop_nonce.as_deref());
        let nonce = self.api_nonces.get(url);
        // An API that does not expose its challenge asks with another nonce.
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

    /// Tells the host which keys are still needed, if that has changed.
    pub(super) fn keep_keys(&mut self, ctx: &mut Context, names: Vec<String>) {
        if names != self.kept {
            self.kept.clone_from(&names);
            ctx.outputs.push(Output::KeepKeys { names });
        }
    }
}

/// Asks the host for a new key.
pub(super) fn make_key(ctx: &mut Context) -> OpId {
    let op = ctx.begin_limited(Purpose::MakeKey);
    ctx.outputs.push(Output::MakeKey { op });
    op
}

/// Returns the key that the tokens of a session are bound to.
pub(super) fn key_of_session(session: &Session) -> Option<BindingKey> {
    session.key().cloned()
}

/// Returns the key that the tokens of a login will be bound to.
pub(super) fn key_of_login(pending: &Pending) -> Option<BindingKey> {
    pending.key().cloned()
}

fn jti(ctx: &mut Context) -> [u8; JTI] {
    let mut jti = [0; JTI];
    // control: proofs_are_unique
    ctx.entropy.fill(&mut jti);
    jti
}

pub(super) fn key_lost(code: Code) -> Error {
    Error::new(code, msg!("the key that the tokens are bound to is gone"))
}
