//! Revocation of refresh tokens (RFC 7009). Each revocation has up to three attempts.

use rules::prelude::*;

use crate::context::{Context, Purpose};
use crate::io::OpId;
use crate::provider::Provider;
use rules::Secret;
use rules::base::clock::Millis;
use rules::base::http::{HttpRequest, Outcome};
use rules::base::list::{self, List};
use rules::oauth::token_endpoint;

/// The largest number of attempts at a revocation.
const ATTEMPTS: u32 = 3;
const RETRY_AFTER_SECONDS: u64 = 2;

/// The revocations that are not complete.
#[derive(Default)]
pub(crate) struct Revocations {
    in_flight: List<Revocation>,
    /// Refresh tokens that wait for the provider's metadata.
    waiting: Vec<Secret>,
    /// The number of times in a row that the metadata could not be fetched for them.
    failed_fetches: u32,
    /// The time at which the metadata is fetched again for them.
    next_fetch: Option<Millis>,
}

struct Revocation {
    request: HttpRequest,
    attempts: u32,
    state: RevocationState,
}

#[derive(PartialEq, Eq)]
enum RevocationState {
    Sent(OpId),
    Due(Millis),
}

impl Revocations {
    /// Revokes a refresh token, if the provider has a revocation endpoint. Returns the operation, if a request was
    /// sent.
    pub(crate) fn revoke(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        refresh_token: &Secret,
    ) -> Option<OpId> {
        if provider.awaits_metadata_with(ctx, |metadata| metadata.revocation_endpoint.is_some()) {
            let is_it = |token: &Secret| token.matches(refresh_token.expose());
            if !self.waiting.iter().any(is_it) {
                self.waiting.push(refresh_token.clone());
                // Earlier failures were those of another token, or of a login.
                self.failed_fetches = 0;
            }
            return None;
        }
        self.send(ctx, provider, refresh_token)
    }

    fn send(
        &mut self,
        ctx: &mut Context,
        provider: &Provider,
        refresh_token: &Secret,
    ) -> Option<OpId> {
        let endpoint = provider.metadata.as_ref()?.revocation_endpoint.as_deref()?;
        let client_id = &ctx.config.flow.client_id;
        let request = token_endpoint::revocation_request(endpoint, client_id, refresh_token);
        if ctx.stores_sessions() {
            // The revocation of this token may already be in flight: a session that has ended may be read from the
            // store and end again.
            let is_it = |r: &Revocation| {
                let forms = r.request.form.as_ref().zip(request.form.as_ref());
                forms.is_some_and(|(one, other)| one.matches(other.expose()))
            };
            if self.in_flight.iter().any(|r| is_it(r)) {
                return None;
            }
        }
        let op = ctx.send(Purpose::Revoke, request.clone());
        self.in_flight.push(Box::new(Revocation {
            request,
            attempts: 1,
            state: RevocationState::Sent(op),
        }));
        Some(op)
    }

    /// Sends a revocation to the endpoint that the provider has now. Returns false if it was sent there already, or if there
    /// is no endpoint.
    pub(crate) fn send_again(&mut self, ctx: &mut Context, provider: &Provider, op: OpId) -> bool {
        let metadata = provider.metadata.as_ref();
        let endpoint = metadata.and_then(|metadata| metadata.revocation_endpoint.as_deref());
        let is_it = |r: &Revocation| r.state == RevocationState::Sent(op);
        let (Some(endpoint), Some(revocation)) = (endpoint, list::find(&mut self.in_flight, is_it))
        else {
            return false;
        };
        if revocation.request.url == endpoint {
            return false;
        }
        endpoint.clone_into(&mut revocation.request.url);
        // A logout may wait for this operation.
        ctx.resume_operation(op, Purpose::Revoke);
        let request = revocation.request.clone();
        ctx.send_as(op, request);
        true
    }

    /// Returns true if a revocation waits for the provider's metadata.
    pub(crate) fn awaits_metadata(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Records that the metadata could not be fetched. If revocations wait for it, it is fetched again, with the number of
    /// attempts and the pauses of a revocation.
    pub(crate) fn metadata_failed(&mut self, now: Millis) {
        self.failed_fetches += 1;
        let may_repeat = !self.waiting.is_empty() && self.failed_fetches < ATTEMPTS;
        self.next_fetch = may_repeat.then(|| now + wait_after(self.failed_fetches));
    }

    /// Sends the revocations that waited for the provider's metadata. Returns the operation of the last one.
    pub(crate) fn resume(&mut self, ctx: &mut Context, provider: &Provider) -> Option<OpId> {
        (self.failed_fetches, self.next_fetch) = (0, None);
        let mut last = None;
        for token in core::mem::take(&mut self.waiting) {
            last = self.send(ctx, provider, &token).or(last);
        }
        last
    }

    /// Handles the response to a revocation. Returns true if the provider has confirmed the revocation, and false if
    /// not. Returns `None` if the operation is not a revocation in flight.
    pub(crate) fn on_response(
        &mut self,
        ctx: &mut Context,
        op: OpId,
        outcome: &Outcome,
    ) -> Option<bool> {
        let is_it = |r: &Revocation| r.state == RevocationState::Sent(op);
        let mut revocation = list::take(&mut self.in_flight, is_it)?;
        // The provider also responds with 200 if the token was already invalid (RFC 7009 2.2). A 503 allows another
        // attempt (RFC 7009 2.2.1).
        let is_complete = matches!(outcome, Outcome::Reply(r) if r.status < 500 && r.status != 429);
        if !is_complete && revocation.attempts < ATTEMPTS {
            let due = ctx.now.monotonic + wait_after(revocation.attempts);
            revocation.state = RevocationState::Due(due);
            self.in_flight.push(revocation);
        }
        let is_revoked = matches!(outcome, Outcome::Reply(reply) if reply.status == 200);
        if is_revoked {
            ctx.trace("token_revoked", None);
        }
        Some(is_revoked)
    }

    pub(crate) fn for_each_retry(&self, see: &mut dyn FnMut(Millis)) {
        self.next_fetch.map(&mut *see);
        for revocation in &self.in_flight {
            if let RevocationState::Due(at) = revocation.state {
                see(at);
            }
        }
    }

    pub(crate) fn retry(&mut self, ctx: &mut Context, provider: &Provider) {
        let now = ctx.now.monotonic;
        if self.next_fetch.take_if(|at| *at <= now).is_some() {
            provider.fetch_metadata(ctx);
        }
        let is_due = |r: &Revocation| matches!(r.state, RevocationState::Due(at) if at <= now);
        // control: due_revocations_are_sent
        while let Some(mut revocation) = list::take(&mut self.in_flight, is_due) {
            let op = ctx.send(Purpose::Revoke, revocation.request.clone());
            revocation.attempts += 1;
            revocation.state = RevocationState::Sent(op);
            self.in_flight.push(revocation);
        }
    }
}

/// Returns the pause before a request that has failed this number of times is repeated.
const fn wait_after(failures: u32) -> Millis {
    Millis::from_secs(RETRY_AFTER_SECONDS * failures as u64)
}
