//! The refusals of access tokens by APIs, from which the vault decides if a refresh may help.
//!
//! A refusal counts only for the rule of its call. It counts until a token that was *due* is replaced: a token in the second
//! half of its lifetime. A token that is replaced earlier was refused by some API, so the refusals still count. In this way,
//! each rule causes at most one refresh for each token that is due. Otherwise two APIs that refuse everything would take
//! turns.

use rules::base::clock::{Instant, Millis};
use rules::egress::policy::{Allowed, TokenSelector};
use rules::prelude::*;

/// The largest number of refreshes that may begin because of a 401 within [`WINDOW`]. Without this limit, an API that
/// refuses each new token once would cause a refresh with each call.
const MAX_FOR_401: u32 = 5;
/// The largest number of these refreshes that one rule causes if there are other rules.
const MAX_OF_A_RULE: u32 = 3;
/// The time in which the refreshes that begin because of a 401 are counted.
const WINDOW: Millis = Millis::from_secs(10);

/// The refusals of the session's tokens.
#[derive(Default)]
pub(crate) struct Refusals {
    /// The rules whose APIs have refused a token.
    rules: Vec<OfRule>,
    /// The time since which refreshes are counted.
    counted_since: Instant,
}

/// The refusals by the API of a rule.
struct OfRule {
    rule: usize,
    selector: TokenSelector,
    /// True if the API refused a token immediately after a refresh. Another refresh would not satisfy the API.
    is_hopeless: bool,
    /// The generation of the last token that the API refused for a call that could not be repeated.
    spent: Option<u64>,
    /// The number of refreshes that a 401 of the API has begun.
    refreshes: u32,
}

impl Refusals {
    /// Records that the API refused a token immediately after a refresh.
    pub(crate) fn on_refused_again(&mut self, allowed: &Allowed) {
        self.of(allowed).is_hopeless = true;
    }

    /// Records that the API refused the token of this generation for a call that cannot be repeated.
    pub(crate) fn on_spent(&mut self, allowed: &Allowed, generation: u64) {
        self.of(allowed).spent = Some(generation);
    }

    /// Takes the first response to a token that is newer than a refused one. If the API refuses the next token, too, another
    /// refresh would not help.
    pub(crate) fn on_successor(&mut self, allowed: &Allowed, generation: u64, is_refused: bool) {
        if self.is_after_spent(allowed, generation) {
            let known = self.of(allowed);
            // control: refusal_judges_the_next_token
            let is_next = known.spent == Some(generation - 1);
            known.is_hopeless |= is_refused && is_next;
            known.spent = known.spent.filter(|_| is_refused);
        }
    }

    /// Returns true if a token before that of this generation was refused for a call that cannot be repeated.
    pub(crate) fn is_after_spent(&self, allowed: &Allowed, generation: u64) -> bool {
        let spent = self.known(allowed).and_then(|known| known.spent);
        spent.is_some_and(|spent| generation > spent)
    }

    /// Returns false if the API refused a token immediately after a refresh.
    pub(crate) fn may_refresh_help(&self, allowed: &Allowed) -> bool {
        self.known(allowed).is_none_or(|known| !known.is_hopeless)
    }

    /// Returns true if a 401 to a call that is `allowed` may begin a refresh, and counts the refresh.
    pub(crate) fn admit(&mut self, allowed: &Allowed, is_only_rule: bool, now: &Instant) -> bool {
        if self.counted_since.elapsed(now) >= WINDOW {
            self.counted_since = *now;
            self.rules.iter_mut().for_each(|known| known.refreshes = 0);
        }
        let all: u32 = self.rules.iter().map(|known| known.refreshes).sum();
        let known = self.of(allowed);
        // control: rule_leaves_refreshes_to_others
        let has_room = is_only_rule || known.refreshes < MAX_OF_A_RULE;
        let is_admitted = all < MAX_FOR_401 && has_room;
        known.refreshes += u32::from(is_admitted);
        is_admitted
    }

    /// Records that another token has replaced the one that `selector` selects. `was_due` is true if that one was due.
    pub(crate) fn replaced(&mut self, selector: TokenSelector, was_due: bool) {
        for known in &mut self.rules {
            // control: refusals_end_with_a_due_token
            if was_due && known.selector == selector {
                (known.is_hopeless, known.spent) = (false, None);
            }
        }
    }

    /// Returns the place of the rule in the list. Otherwise returns the rule as an error.
    fn place(&self, allowed: &Allowed) -> Result<usize, usize> {
        // control: refusal_counts_for_its_rule
        let rule = allowed.rule();
        let place = self.rules.iter().position(|known| known.rule == rule);
        place.ok_or(rule)
    }

    fn known(&self, allowed: &Allowed) -> Option<&OfRule> {
        Some(&self.rules[self.place(allowed).ok()?])
    }

    fn of(&mut self, allowed: &Allowed) -> &mut OfRule {
        let place = self.place(allowed).unwrap_or_else(|rule| {
            self.rules.push(OfRule {
                rule,
                selector: allowed.token_selector(),
                is_hopeless: false,
                spent: None,
                refreshes: 0,
            });
            self.rules.len() - 1
        });
        &mut self.rules[place]
    }
}
