//! Changes of the provider, of the APIs, and of the network in front of the provider.

use super::{Home, Life, MINUTE, RESOURCES, SECOND, TARGET_RECOVERY, Todo};
use kit::world::api::API;
use kit::world::{Endpoint, Fault};
use vault::Body;

impl Life {
    /// Returns true if an API has its own tokens.
    pub(super) fn has_own_tokens(&self) -> bool {
        self.apis.len() > 1
    }

    pub(super) fn some_api(&mut self) -> &'static str {
        if self.has_own_tokens() {
            self.more_dice.pick(&self.apis)
        } else {
            API
        }
    }

    /// Events of lives with bound tokens or with APIs that have their own tokens.
    pub(super) fn servers_change(&mut self) {
        if self.uses_dpop {
            match self.more_dice.roll(40) {
                0..4 => {
                    self.tally.fault("the provider's nonce changes");
                    self.world.provider.dpop.nonce = Some(self.some_nonce());
                }
                4..8 => {
                    self.tally.fault("an API's nonce changes");
                    let api = self.some_api();
                    let nonce = self.some_nonce();
                    let hides = self.more_dice.roll(4) == 0;
                    let checker = self.world.checkers.entry(api).or_default();
                    (checker.nonce, checker.hides_challenge) = (Some(nonce), hides);
                }
                8 if self.home != Home::Memory => {
                    self.tally.fault("keys lost");
                    self.tell("the browser loses the keys stored with the sessions");
                    self.world.store.lose_keys();
                }
                _ => {}
            }
        }
        if self.faults > 0 && self.more_dice.roll(60) == 0 {
            self.block_way();
        }
        if self.has_own_tokens() && self.more_dice.roll(12) == 0 {
            let all: Vec<&str> = RESOURCES.iter().map(|(_, resource)| *resource).collect();
            let some = self.more_dice.pick(&[&all[..], &all[..], &all[1..], &[]]);
            if some.len() < all.len() {
                self.tally.fault("resource refused");
            }
            self.tell(&format!("the provider knows the resources {some:?}"));
            self.world.provider.resources = some.to_vec();
            self.longest_wait = self.longest_wait.max(TARGET_RECOVERY);
        }
    }

    /// Puts a broken CDN or a captive portal in front of the provider. CORS hides its responses from the vault.
    fn block_way(&mut self) {
        let provider = &mut self.world.provider;
        let name = if self.more_dice.roll(2) == 0 {
            // The CDN serves only cached documents.
            provider.outage(Endpoint::Probe, Fault::Opaque);
            "CDN without its origin"
        } else {
            for endpoint in [Endpoint::Probe, Endpoint::Discovery, Endpoint::Keys] {
                provider.outage(endpoint, Fault::Html);
            }
            "captive portal"
        };
        for endpoint in [
            Endpoint::Push,
            Endpoint::Refresh,
            Endpoint::Exchange,
            Endpoint::Revoke,
        ] {
            provider.outage(endpoint, Fault::Opaque);
        }
        let millis = self.more_dice.pick(&[20 * SECOND, 5 * MINUTE, 20 * MINUTE]);
        self.tally.fault(name);
        self.tell(&format!("{name}, for {millis} ms"));
        let time = self.now() + millis;
        self.at(time, Todo::WayIsFree);
    }

    pub(super) fn clear_way(&mut self) {
        for endpoint in [
            Endpoint::Probe,
            Endpoint::Discovery,
            Endpoint::Keys,
            Endpoint::Push,
            Endpoint::Refresh,
            Endpoint::Exchange,
            Endpoint::Revoke,
        ] {
            self.world.provider.repair_one(endpoint);
        }
    }

    fn some_nonce(&mut self) -> String {
        self.more_dice.pick(&["one", "two", "three"]).to_owned()
    }

    /// Makes the provider reject every refresh without a reason, until the vaults suspect their sessions.
    pub(super) fn provoke_suspicion(&mut self) {
        self.tell("the provider rejects every refresh without a reason");
        self.refuses_without_reason = true;
        self.run(self.lifetime);
        for _ in 0..4 {
            let page = self.some_page();
            self.fetch(page);
            self.run(20 * SECOND);
        }
        self.refuses_without_reason = false;
    }

    /// Lets one rule's API refuse all tokens, and then all APIs those that were issued so far.
    pub(super) fn provoke_refusals(&mut self) {
        let page = self.some_page();
        self.call(page, "never", false, Body::Replayable);
        self.run(5 * SECOND);
        self.tell("the API rejects all tokens issued so far");
        self.world.provider.withdraw_access_tokens();
    }
}
