//! DPoP in the vault (RFC 9449): one key for each login and the session that comes of it, a fresh proof for
//! whatever is sent with a token or for one, and the nonces that servers want in it.
//!
//! The proof leaves with its request: the core writes it, the host signs it and sends both. So there is nothing
//! between the one and the other that a logout, an abort or a limit would have to be heeded in.
//!
//! Revocation needs none: RFC 9449 has proofs for token requests and for APIs.

use crate::base::error::{Code, Error};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::url::Url;
use crate::oauth::dpop::{JTI, Nonces, ProofParams, PublicKey, UnsignedProof};
use crate::oauth::token_endpoint::{self, Scheme, TokenResponse};
use crate::oauth::www_authenticate;
use crate::prelude::*;
use crate::session::{EndReason, Session};
use crate::vault::api_calls::{Call, Stage};
use crate::vault::list;
use crate::vault::{Body, CallId, OpId, Output, Purpose, ResponseHead, Vault};

/// By how many milliseconds the provider's time must turn out to be another one for a proof to be worth a second
/// attempt that was refused.
const CLOCK_STEP: u64 = 1000;

/// What the vault knows of proofs.
#[derive(Default)]
pub(super) struct Dpop {
    provider_nonces: Nonces,
    api_nonces: Nonces,
    /// Token requests that wait for their answer.
    sent: Vec<TokenRequest>,
    /// The keys that the host was last told to keep.
    kept: Vec<String>,
}

/// A token request that has a proof.
struct TokenRequest {
    op: OpId,
    request: HttpRequest,
    /// Where to, as its server reads it: metadata may write it in another way.
    htu: String,
    key: PublicKey,
    nonce: Option<String>,
    /// [`Vault::clock_offset`] when the proof was made.
    clock_offset: i64,
    was_repeated: bool,
}

/// What a call remembers of its proof.
#[derive(Default)]
pub(super) struct Proven {
    /// The nonce in it.
    nonce: Option<String>,
    /// It was sent once more, with another nonce.
    was_repeated: bool,
}

impl Vault {
    fn jti(&mut self) -> [u8; JTI] {
        let mut jti = [0; JTI];
        self.entropy.fill(&mut jti);
        jti
    }

    /// Sends a token request, with a proof if tokens are to be bound to `key`.
    pub(super) fn send_proven(
        &mut self,
        purpose: Purpose,
        request: HttpRequest,
        key: Option<PublicKey>,
    ) -> OpId {
        let op = self.begin_limited(purpose);
        match key {
            Some(key) => self.send_with_proof(TokenRequest {
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
            }),
            None => self.outputs.push(Output::Send { op, request }),
        }
        op
    }

    fn send_with_proof(&mut self, mut sent: TokenRequest) {
        let url = &*sent.htu;
        sent.nonce = self.dpop.provider_nonces.get(url).map(ToOwned::to_owned);
        sent.clock_offset = self.clock_offset;
        let proof = UnsignedProof::new(
            &sent.key,
            &ProofParams {
                method: "POST",
                url,
                access_token: None,
                nonce: sent.nonce.as_deref(),
                issued_at: self.provider_seconds(),
                jti: self.jti(),
            },
        );
        let mut request = sent.request.clone();
        request.proof = Some(proof);
        let op = sent.op;
        self.dpop.sent.push(sent);
        self.outputs.push(Output::Send { op, request });
    }

    /// A token request was answered. Whether it is sent once more, under the same number: with the nonce that the
    /// provider asks for (RFC 9449 8), or by its time, which was not known before.
    pub(super) fn is_proven_again(
        &mut self,
        op: OpId,
        purpose: Purpose,
        outcome: &Outcome,
    ) -> bool {
        let Some(i) = self.dpop.sent.iter().position(|sent| sent.op == op) else {
            return false;
        };
        let mut sent = self.dpop.sent.swap_remove(i);
        let Outcome::Reply(reply) = outcome else {
            return false;
        };
        let url = &*sent.htu;
        self.dpop
            .provider_nonces
            .record(url, reply.dpop_nonce.as_deref());
        let TokenResponse::Refused(code) = token_endpoint::read(reply, Scheme::Dpop) else {
            return false;
        };
        let may_help = match code.as_str() {
            "use_dpop_nonce" => {
                let nonce = self.dpop.provider_nonces.get(url);
                nonce.is_some() && nonce != sent.nonce.as_deref()
            }
            "invalid_dpop_proof" => sent.clock_offset.abs_diff(self.clock_offset) >= CLOCK_STEP,
            _ => false,
        };
        if !may_help || sent.was_repeated {
            return false;
        }
        let is_wanted = match purpose {
            Purpose::Exchange => self.exchange_sent_again(op),
            Purpose::Refresh => self.refresh_sent_again(op),
            _ => true,
        };
        if !is_wanted {
            return false;
        }
        sent.was_repeated = true;
        self.resume_operation(op, purpose);
        self.send_with_proof(sent);
        true
    }

    /// The proof for a call that is about to be sent with the session's access token.
    pub(super) fn prove_call(&mut self, call: CallId) -> Option<UnsignedProof> {
        let jti = self.config.dpop.then(|| self.jti())?;
        let issued_at = self.provider_seconds();
        let session = self.session.as_deref()?;
        let known = list::find(&mut self.calls, |c| c.call == call)?;
        let url = known.allowed.url();
        let nonce = self.dpop.api_nonces.get(url);
        let proof = UnsignedProof::new(
            session.key()?,
            &ProofParams {
                method: known.allowed.method(),
                url,
                access_token: session.latest_access_token_of(known.allowed.token_selector()),
                nonce,
                issued_at,
                jti,
            },
        );
        known.proven.nonce = nonce.map(ToOwned::to_owned);
        Some(proof)
    }

    /// A call was answered. Whether it is sent once more, with the nonce that the API asks for (RFC 9449 9).
    pub(super) fn is_call_proven_again(&mut self, call: CallId, head: &ResponseHead) -> bool {
        if !self.config.dpop {
            return false;
        }
        let has_session = self.session.is_some();
        let is_it = |c: &Call| c.call == call && matches!(c.stage, Stage::Sent { .. });
        let Some(known) = list::find(&mut self.calls, is_it) else {
            return false;
        };
        let url = known.allowed.url();
        self.dpop.api_nonces.record(url, head.dpop_nonce.as_deref());
        let nonce = self.dpop.api_nonces.get(url);
        // Of an API that does not expose what it asks for, another nonce says it.
        let asks = match &head.www_authenticate {
            Some(challenge) => www_authenticate::has_error(challenge, "use_dpop_nonce"),
            None => head.dpop_nonce.is_some(),
        };
        let may_help = head.status == 401
            && asks
            && nonce.is_some()
            && nonce != known.proven.nonce.as_deref()
            && known.body == Body::Replayable;
        if !may_help || known.proven.was_repeated || known.is_orphan || !has_session {
            return false;
        }
        known.proven.was_repeated = true;
        known.stage = Stage::Waiting;
        self.trace_call(
            "call_answered",
            call,
            Some(head.status),
            Some("use_dpop_nonce"),
        );
        self.send_or_wait(call);
        true
    }

    /// A call could not be sent, since the key for its proof is gone.
    pub(super) fn call_unsigned(&mut self, call: CallId) {
        let is_orphan = self.calls.iter().any(|c| c.call == call && c.is_orphan);
        self.reject_call(call, &key_lost(Code::SessionEnded));
        if !is_orphan {
            self.end_without_key();
        }
    }

    /// The session's key is gone: nobody will accept its tokens, and it cannot be renewed (RFC 9449 5).
    pub(super) fn end_without_key(&mut self) {
        self.end_session(EndReason::StorageLost);
    }

    /// Tells the host which keys are still of use, where that has changed.
    pub(super) fn discard_keys(&mut self) {
        if !self.config.dpop {
            return;
        }
        let mut kept = Vec::new();
        {
            let mut keep = |key: Option<&PublicKey>| {
                let name = key.map(PublicKey::thumbprint);
                kept.extend(name.map(ToOwned::to_owned));
            };
            keep(self.session.as_deref().and_then(Session::key));
            for session in self.sessions_being_read() {
                keep(session.key());
            }
            for key in self.logins.keys() {
                keep(Some(key));
            }
            for callback in &self.callbacks {
                keep(callback.key());
            }
        }
        if kept != self.dpop.kept {
            self.dpop.kept.clone_from(&kept);
            self.outputs.push(Output::KeepKeys { names: kept });
        }
    }
}

pub(super) fn key_lost(code: Code) -> Error {
    Error::new(code, msg!("the key that the tokens are bound to is gone"))
}
