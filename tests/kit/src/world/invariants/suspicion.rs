//! Suspicion that the provider has ended a grant although its responses do not say so.

use rules::base::clock::{Instant, Millis};
use rules::base::http::Outcome;

use super::token_response::{Reading, is_of_gateway, is_unexplained, read};
use super::{Invariant, Watch};
use crate::world::elapsed::Since;

/// Signs that a family's grant has ended, as one vault sees them.
#[derive(Default)]
pub(super) struct Suspicion {
    pub(super) family: usize,
    refusals: u32,
    of_gateway: u32,
    gateway_since: Option<Instant>,
    /// The number of consecutive rejections that CORS hides. `hidden_since` is the time at which the provider could be
    /// reached after the first of these rejections.
    hidden: u32,
    hidden_since: Option<Instant>,
    /// The last attempt failed without a readable response. This attempt counts as rejected if the next probe reaches
    /// the provider.
    is_open: bool,
    is_confirmed: bool,
    /// Another vault's refresh may have refuted the suspicion. This vault learns of that refresh from the store.
    pub(super) may_be_over: bool,
    /// The provider rejected the proof, the resource or the scope of a request. The vault may or may not count the
    /// hidden rejections before that response.
    is_vague: bool,
}

impl Watch {
    /// Returns true if this refresh began for a session that another session has replaced. The refresh then says
    /// nothing about the vault's current session.
    pub(super) fn is_of_former_session(&self, vault: usize, family: Option<usize>) -> bool {
        let known = self.suspicions.get(&vault).map(|known| known.family);
        known.is_some() && known != family && known == self.sessions.told(vault)
    }

    /// Updates the suspicion after a failed refresh: CORS may hide a rejection, or the rejection may have no reason.
    pub(super) fn suspect(
        &mut self,
        family: usize,
        outcome: &Outcome,
        vault: usize,
        now: &Instant,
    ) {
        if self.is_of_former_session(vault, Some(family)) {
            return;
        }
        let known = self.suspicions.entry(vault).or_default();
        if known.family != family {
            *known = Suspicion {
                family,
                ..Suspicion::default()
            };
        }
        known.is_open = false;
        if matches!(outcome, Outcome::Opaque) {
            known.is_open = true;
            return;
        }
        known.hidden = 0;
        // After an error about the proof, the vault sends the request again, and only the second attempt counts. The
        // vault may or may not count the hidden rejections before the first attempt.
        let is_about_proof = matches!(
            read(outcome),
            Reading::Refused(code) if matches!(code.as_str(), "use_dpop_nonce" | "invalid_dpop_proof")
        );
        known.is_vague |= is_about_proof;
        if is_of_gateway(outcome) {
            known.of_gateway += 1;
            let since = known.gateway_since.get_or_insert(*now).passed(now);
            known.is_confirmed |=
                known.of_gateway >= 6 || known.of_gateway >= 3 && since >= Millis::from_secs(20);
        } else if is_unexplained(outcome) {
            known.refusals += 1;
            known.is_confirmed |= known.refusals >= 3;
        }
    }

    /// Records that the vault has requested the provider's metadata to find out if the provider can be reached.
    /// `is_there` is true if the provider itself responded.
    pub fn probed(&mut self, vault: usize, is_there: bool, now: &Instant) {
        let Some(known) = self.suspicions.get_mut(&vault) else {
            return;
        };
        if !core::mem::take(&mut known.is_open) {
            return;
        }
        if !is_there {
            known.hidden = 0;
            return;
        }
        if known.hidden == 0 {
            known.hidden_since = Some(*now);
        }
        known.hidden += 1;
        let span = known.hidden_since.map(|since| since.passed(now));
        known.is_confirmed |= known.hidden >= 5 && span >= Some(Millis::from_secs(120));
    }

    /// Records that a page is told that the user must sign in again, or that this is no longer necessary.
    pub fn told_needs_user(&mut self, vault: usize, needs_user: bool) {
        if needs_user {
            self.told_to_interact.insert(vault);
        } else {
            self.told_to_interact.remove(&vault);
        }
    }

    /// Expects that pages are asked for the user, because an API refuses a token that cannot be renewed.
    pub fn expect_request_for_user(&mut self) {
        self.asked_for_user.extend(self.sessions.families());
    }

    /// Records that another server responded at an endpoint that the provider has left. If the vault cannot find out that
    /// the provider has moved, it may or may not count that response as a rejection.
    pub fn another_server_responded(&mut self) {
        self.has_moved = true;
    }

    /// Records that this vault has stored a successor, which it may have had for a long time. The session then works
    /// again in the other vaults.
    pub(super) fn stored_successor(&mut self, vault: usize) {
        let others = self.suspicions.iter_mut().filter(|(who, _)| **who != vault);
        others.for_each(|(_, known)| known.may_be_over = true);
    }

    pub(super) fn check_suspicion(&self, vault: usize) {
        if self.has_moved {
            return;
        }
        let Some(family) = self.sessions.told(vault) else {
            return;
        };
        let is_told = self.told_to_interact.contains(&vault);
        let known = self.suspicions.get(&vault);
        let is_suspected = known.is_some_and(|s| s.is_confirmed && s.family == family);
        // The vault has refreshed, but has not stored the new refresh token yet.
        let is_adopting = self.unpersisted.contains_key(&vault);
        let is_asked_for = self.asked_for_user.contains(&family)
            || known.is_some_and(|known| known.is_vague && known.family == family);
        Invariant::Suspicion.holds_if(
            !is_told || is_suspected || is_asked_for || is_adopting,
            || format!("vault {vault} requires a login for family {family} without a reason"),
        );
        let may_be_over = known.is_some_and(|known| known.may_be_over);
        Invariant::Suspicion.holds_if(is_told || !is_suspected || may_be_over, || {
            format!("vault {vault} does not require a login for family {family}")
        });
    }

    /// Returns true if the provider has required the user of this family to sign in.
    pub fn has_asked_for_user(&self, family: usize) -> bool {
        self.asked_for_user.contains(&family)
    }

    /// Records that the response to a refresh was readable, which ends a series of hidden rejections.
    pub(super) fn answered_readably(&mut self, vault: usize) {
        if let Some(known) = self.suspicions.get_mut(&vault) {
            (known.hidden, known.is_open) = (0, false);
        }
    }

    /// Records that the provider rejected the requested resource or scope, and not the grant.
    pub fn refused_target(&mut self, vault: usize, family: Option<usize>) {
        if self.is_of_former_session(vault, family) {
            return;
        }
        self.answered_readably(vault);
        if let Some(known) = self.suspicions.get_mut(&vault) {
            known.is_vague = true;
        }
    }
}
