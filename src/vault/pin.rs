//! Pinned metadata: the provider's metadata as they were when the app was built. With them, a login or a refresh does not
//! wait for the provider's document.
//!
//! The provider may have changed its metadata since. So the vault requests the document in the background, once a page
//! has been greeted, and as soon as it arrives, it replaces the pin whole. Nothing waits for it, with one exception: what
//! the pin is to blame for does not count. A refusal of a pinned endpoint is held until the document has arrived. If the
//! document names another endpoint, the request is sent there. A code or a refresh token therefore reaches another
//! endpoint only if a document that passed the checks of `oauth::metadata` names it. If the document cannot be fetched,
//! the refusal counts, but it ends no session.

use crate::config::pinned::Pinned;
use crate::context::{Context, Purpose};
use crate::io::OpId;
use rules::base::http::{HttpReply, Outcome};
use rules::login::pushed_authorization::{self, PushOutcome};
use rules::oauth::jwks::Jwks;
use rules::oauth::metadata::{self, Metadata};
use rules::oauth::token_endpoint::{self, TokenResponse};
use rules::prelude::*;

/// The state of pinned metadata.
#[derive(Default)]
pub(super) struct Pin {
    /// The option, while the provider's document has not replaced it. Its metadata are those that the provider part uses.
    pinned: Option<Pinned>,
    /// True if the document was requested in the background.
    was_requested: bool,
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

impl Held {
    /// Returns the response as it counts if the provider's document could not be fetched. A refused refresh then does not
    /// prove that the provider has ended the grant, because the endpoint may no longer be the provider's. It counts as a
    /// refusal without a reason, which ends no session.
    pub(super) fn without_document(self) -> Outcome {
        if self.purpose == Purpose::Refresh {
            self.outcome.without_body()
        } else {
            self.outcome
        }
    }
}

/// The decision about a response.
pub(super) enum Verdict {
    Counts,
    /// The response waits until the provider's document has arrived.
    Held,
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

    /// Warns the developer about a flaw of the option. Returns true if the provider's document is to be requested in the
    /// background, which happens once.
    pub(super) fn begin_check(&mut self, ctx: &mut Context) -> bool {
        let page = ctx.ports.last().copied();
        if page.is_none() || ctx.is_loading() {
            return false;
        }
        let flaw = self.pinned.as_mut().and_then(|pinned| pinned.flaw.take());
        if let Some(flaw) = flaw {
            ctx.warn_developer(page, &flaw);
        }
        self.is_in_use() && !core::mem::replace(&mut self.was_requested, true)
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
            if endpoint(current, purpose).is_none() || !is_refusal(ctx, purpose, outcome) {
                return Verdict::Counts;
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
                let has_moved = endpoint(Some(former), purpose) != endpoint(current, purpose);
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

    /// Returns the refusals that waited for the document.
    pub(super) fn take_held(&mut self) -> Vec<Held> {
        core::mem::take(&mut self.held)
    }
}

/// Returns the endpoint that requests with this purpose are sent to, if the vault waits for the provider's document when the
/// endpoint refuses.
fn endpoint(metadata: Option<&Metadata>, purpose: Purpose) -> Option<&str> {
    let metadata = metadata?;
    match purpose {
        Purpose::Exchange | Purpose::Refresh => Some(&metadata.token_endpoint),
        Purpose::Keys => Some(&metadata.jwks_uri),
        Purpose::Push => metadata.pushed_authorization_request_endpoint.as_deref(),
        _ => None,
    }
}

/// Returns true for a response that an endpoint would not send if the provider still used it: a redirect, a status 4xx, or
/// anything that cannot be read. An overloaded or failing server is not a refusal.
fn is_refusal(ctx: &Context, purpose: Purpose, outcome: &Outcome) -> bool {
    let reply = match outcome {
        Outcome::Reply(reply) => reply,
        Outcome::Failed | Outcome::Opaque => return true,
        Outcome::KeyLost => return false,
    };
    if reply.status == 429 || reply.status >= 500 {
        return false;
    }
    match purpose {
        Purpose::Push => !is_accepted_push(outcome),
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
