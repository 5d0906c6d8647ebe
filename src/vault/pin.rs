//! Pinned metadata: the provider's metadata as they were when the app was built. With them, a login or a refresh does not
//! wait for the provider's document.
//!
//! The provider may have changed its metadata since. So the vault requests the document in the background, a moment after a
//! page has been greeted, and as soon as it arrives, it replaces the pin whole. Most operations do not wait for it. A refusal
//! that an outdated pin may have caused does not count until the document has arrived. If the document names another endpoint, the request is sent there. A code or a refresh token therefore reaches another
//! endpoint only if a document that passed the checks of `oauth::metadata` names it. If the document cannot be fetched,
//! the refusal counts, but it ends no session.

use crate::config::pinned::Pinned;
use crate::context::{Context, Purpose};
use crate::io::OpId;
use rules::base::clock::Millis;
use rules::base::http::{HttpReply, Outcome};
use rules::codec::url::Url;
use rules::login::pushed_authorization::{self, PushOutcome};
use rules::oauth::jwks::Jwks;
use rules::oauth::metadata::{self, Metadata};
use rules::oauth::token_endpoint::{self, TokenResponse};
use rules::prelude::*;

/// The time between the first greeting of a page and the request for the document. At once, it would take the connection
/// that a login or a call is about to use.
const CHECK_DELAY: Millis = Millis::from_secs(2);

/// After a failed request for the document, the time in which refusals do not wait for another one. In an outage, each
/// refusal would otherwise cause a request.
const PAUSE: Millis = Millis::from_secs(30);

/// The state of pinned metadata.
#[derive(Default)]
pub(super) struct Pin {
    /// The option `pinned`, until the provider's document replaces it. `Provider::metadata` is a copy of its metadata.
    pinned: Option<Pinned>,
    /// The time at which the document is to be requested in the background, once a page has been greeted.
    check_at: Option<Millis>,
    /// True if the document was requested in the background.
    was_checked: bool,
    /// The time at which the document could not be fetched.
    failed_at: Option<Millis>,
    /// Refusals that wait for the document.
    held: Vec<Held>,
    /// The metadata that the document has replaced, and the last operation that may have used them.
    replaced: Option<(Box<Metadata>, OpId)>,
}

/// A response that does not count yet.
pub(super) struct Held {
    pub(super) op: OpId,
    pub(super) purpose: Purpose,
    pub(super) outcome: Outcome,
}

/// Returns a response as it counts if the provider's document could not be fetched. A refused refresh then does not prove
/// that the provider has ended the grant, because the endpoint may no longer be the provider's. It counts as a refusal
/// without a reason, which ends no session.
pub(super) fn without_document(purpose: Purpose, outcome: &Outcome) -> Outcome {
    if purpose == Purpose::Refresh {
        outcome.without_body()
    } else {
        outcome.clone()
    }
}

/// The decision about a response.
pub(super) enum Verdict {
    Counts,
    /// The response waits until the provider's document has arrived.
    Held,
    /// The response counts without the document: see [`without_document`].
    Unconfirmed,
    /// The request went to an endpoint that the provider no longer has.
    Outdated,
}

impl Pin {
    pub(super) fn new(pinned: Pinned) -> Self {
        let is_used = pinned.metadata.is_some() || pinned.flaw.is_some();
        Self {
            pinned: is_used.then_some(pinned),
            ..Self::default()
        }
    }

    /// Returns true while pinned metadata are in use.
    pub(super) fn is_in_use(&self) -> bool {
        let pinned = self.pinned.as_ref();
        pinned.is_some_and(|pinned| pinned.metadata.is_some())
    }

    /// Returns the time of the request in the background, if it is yet to come.
    pub(super) fn due(&self) -> Option<Millis> {
        self.check_at
            .filter(|_| self.is_in_use() && !self.was_checked)
    }

    /// Warns the developer about a flaw of the option. Returns true if the provider's document is to be requested in the
    /// background now, which happens once.
    pub(super) fn begin_check(&mut self, ctx: &mut Context) -> bool {
        let page = ctx.ports.last().copied();
        if page.is_none() || ctx.is_loading() {
            // Without a page, a time that has passed would stay due.
            self.check_at = None;
            return false;
        }
        let flaw = self.pinned.as_mut().and_then(|pinned| pinned.flaw.take());
        if let Some(flaw) = flaw {
            ctx.warn_developer(page, &flaw);
        }
        let now = ctx.now.monotonic;
        let check_at = *self.check_at.get_or_insert(now + CHECK_DELAY);
        self.is_in_use() && check_at <= now && !core::mem::replace(&mut self.was_checked, true)
    }

    /// Decides if a response counts.
    pub(super) fn judge(
        &mut self,
        ctx: &Context,
        current: Option<&Metadata>,
        (op, purpose): (OpId, Purpose),
        outcome: &Outcome,
    ) -> Verdict {
        if self.is_in_use() {
            if endpoint(ctx, current, purpose).is_none() || !is_refusal(ctx, purpose, outcome) {
                return Verdict::Counts;
            }
            if self
                .failed_at
                .is_some_and(|at| ctx.now.monotonic < at + PAUSE)
            {
                return Verdict::Unconfirmed;
            }
            self.held.push(Held {
                op,
                purpose,
                outcome: outcome.clone(),
            });
            return Verdict::Held;
        }
        match &self.replaced {
            Some((former, last)) if op.0 <= last.0 => {
                let has_moved = endpoint(ctx, Some(former), purpose).map(as_parsed)
                    != endpoint(ctx, current, purpose).map(as_parsed);
                // The keys at an address that the provider no longer names must not be used.
                let may_count = purpose != Purpose::Keys && !is_refusal(ctx, purpose, outcome);
                if has_moved && !may_count {
                    Verdict::Outdated
                } else {
                    Verdict::Counts
                }
            }
            _ => Verdict::Counts,
        }
    }

    /// Replaces the pin by the provider's document. Warns the developer if they differ. Returns true if the keys that were
    /// fetched may be outdated.
    pub(super) fn replace(&mut self, ctx: &mut Context, document: &Metadata) -> bool {
        let Some(Pinned {
            metadata: Some(former),
            at,
            ..
        }) = self.pinned.take()
        else {
            return false;
        };
        let names = former.differences(document);
        if !names.is_empty() {
            let message = [
                msg!("the pinned metadata of "),
                &at,
                msg!(" differ from those that the provider publishes now: "),
                &names,
            ];
            let warning = rules::Error::of(rules::Code::MetadataOutdated, &message);
            ctx.warn_developer(ctx.ports.last().copied(), &warning);
        }
        let has_other_keys = former.jwks_uri != document.jwks_uri;
        self.replaced = Some((former, ctx.last_operation()));
        has_other_keys
    }

    /// Records that the document could not be fetched.
    pub(super) const fn failed(&mut self, now: Millis) {
        self.failed_at = Some(now);
    }

    /// Returns the refusals that waited for the document.
    pub(super) fn take_held(&mut self) -> Vec<Held> {
        core::mem::take(&mut self.held)
    }
}

/// Returns the endpoint that requests with this purpose are sent to, if the vault waits for the provider's document when the
/// endpoint refuses.
fn endpoint<'a>(
    ctx: &Context,
    metadata: Option<&'a Metadata>,
    purpose: Purpose,
) -> Option<&'a str> {
    let metadata = metadata?;
    match purpose {
        Purpose::Revoke => metadata.revocation_endpoint.as_deref(),
        Purpose::AskProfile if ctx.config.flow.asks_user_info => {
            metadata.userinfo_endpoint.as_deref()
        }
        Purpose::Exchange | Purpose::Refresh => Some(&metadata.token_endpoint),
        Purpose::Keys => Some(&metadata.jwks_uri),
        Purpose::Push => metadata.pushed_authorization_request_endpoint.as_deref(),
        _ => None,
    }
}

/// Returns a URL as a parser writes it: `https://id.example.com:443/` is no other address than `https://id.example.com/`.
fn as_parsed(url: &str) -> String {
    Url::parse(url).map_or_else(|| url.to_owned(), |parsed| parsed.href().to_owned())
}

/// Returns true if the outcome may mean that the provider has moved the endpoint: no response, a redirect, a status 4xx
/// except 429, or a response that cannot be read.
fn is_refusal(ctx: &Context, purpose: Purpose, outcome: &Outcome) -> bool {
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        // A refresh without a response is repeated promptly, because the provider may have rotated the refresh token.
        Outcome::Failed => return purpose != Purpose::Refresh,
        Outcome::Opaque => return true,
        Outcome::KeyLost => return false,
    };
    if reply.status == 429 || reply.status >= 500 {
        return false;
    }
    match purpose {
        Purpose::Push => !is_accepted_push(outcome),
        Purpose::Revoke | Purpose::AskProfile => reply.status != 200,
        Purpose::Keys => !has_keys(outcome),
        _ => is_token_refusal(ctx, reply),
    }
}

fn is_accepted_push(outcome: &Outcome) -> bool {
    let push = pushed_authorization::read(outcome, "", true);
    matches!(push, PushOutcome::Accepted(_))
}

fn has_keys(outcome: &Outcome) -> bool {
    metadata::read_document(outcome, "", "", "").is_ok_and(|text| Jwks::parse(text).is_ok())
}

/// Returns true if a response of the token endpoint has no token. A response with a refresh token has consumed the one
/// that was sent, so that it counts although it is flawed.
fn is_token_refusal(ctx: &Context, reply: &HttpReply) -> bool {
    match token_endpoint::read(reply, ctx.config.flow.wanted_tokens()) {
        TokenResponse::Refused(_) => true,
        TokenResponse::Unusable(unusable) => unusable.rotated.is_none(),
        _ => false,
    }
}
