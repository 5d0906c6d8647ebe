//! The end of a life: the faults stop, and everything must work again.

use vault::{Body, PortId};

use super::{
    Found, HIDDEN_RECOVERY, Home, Life, MINUTE, RECOVERY, RESOURCES, SECOND, SETTLED,
    STORE_RECOVERY, SUSPECTED_RECOVERY, TARGET_RECOVERY, TOLERANCE, Todo,
};
use kit::world::api::API;
use kit::world::invariants::Invariant;
use kit::world::provider::Refusing;
use kit::world::{PageResponse, REFRESH};

impl Life {
    pub(super) fn faults_stop(&mut self) {
        self.tell("the faults stop here");
        if self.builds > 0 || self.build_dice.is_some() && self.storage_dice.is_some() {
            // The deployment is complete: all workers are of one build.
            self.serve_a_build();
            self.storage_dice = None;
            for vault in 0..self.workers.len() {
                self.replace_worker(vault);
            }
        }
        for vault in 0..self.workers.len() {
            self.thaw(vault);
            self.workers[vault].throttled_until = 0;
            self.workers[vault].alarm = None;
        }
        // Planned actions of users are dropped as well.
        let is_a_users = |todo: &Todo| {
            matches!(
                todo,
                Todo::SignIn { .. }
                    | Todo::EnterCodes
                    | Todo::Leave(_)
                    | Todo::SetClock(_)
                    | Todo::Thaw(_)
                    | Todo::FreeLock
                    | Todo::NetworkChanges
                    | Todo::WayIsFree
            )
        };
        self.agenda.retain(|_, todo| !is_a_users(todo));
        self.faults = 0;
        self.freezes_holder = false;
        self.offline_until = 0;
        self.world.seize_lock(false);
        self.fates.clear();
        self.world.provider.repair();
        if self.has_own_tokens() {
            self.world.provider.resources = RESOURCES.map(|(_, resource)| resource).to_vec();
            // The provider may have rejected a request for one API's tokens, after which the vault pauses.
            self.longest_wait = self.longest_wait.max(TARGET_RECOVERY);
        }
        self.world.store.is_full = false;
        self.world.store.is_unavailable = false;
        self.world.persists = true;
        self.settling = self.world.ledger.unanswered().collect();
        self.tally.settling += self.settling.len() as u64;
        let time = self.now() + SETTLED;
        self.at(time, Todo::AreSettled);
    }

    pub(super) fn are_settled(&mut self) {
        let waiting: Vec<_> = self.world.ledger.unanswered().collect();
        let waiting = self.settling.iter().find(|it| waiting.contains(it));
        Invariant::Settled.holds_if(waiting.is_none(), || format!("{waiting:?} still waits"));
    }

    /// Checks that soon, in every vault, each session that the provider accepts works again. If there is no session, a
    /// login must work.
    pub(super) fn recovers(&mut self) {
        let mut is_kept = true;
        for account in 0..self.users.len() {
            let Some(is_its) = self.recovers_in(account) else {
                return;
            };
            is_kept &= is_its;
        }
        self.tally.kept += u64::from(is_kept);
        self.run(MINUTE);
        for account in 0..self.users.len() {
            let families = self.families(&self.sharing_in(account));
            let is_same = families.iter().all(|family| *family == families[0]);
            Invariant::Agreement.holds_if(is_same, || format!("families {families:?}"));
        }
    }

    /// Checks the vaults of one account. Returns true if each session works, and `None` if a login cannot be checked.
    fn recovers_in(&mut self, account: usize) -> Option<bool> {
        let vaults: Vec<usize> = self.vaults_of(account).collect();
        let mut found = Vec::new();
        for &vault in &vaults {
            let page = self.open_in(vault);
            self.run(SECOND);
            found.push(self.works_again(page));
        }
        if found.iter().all(|found| *found == Found::Working) {
            return Some(true);
        }
        self.tally.need_the_user += u64::from(found.contains(&Found::NeedsUser));
        let apart = self.world.now.wall.abs_diff(self.now());
        if !self.world.provider.tells_time && apart > TOLERANCE {
            self.tally.clocks_apart += 1;
            return None;
        }
        let vault = vaults[self.dice.roll(vaults.len())];
        self.login_works(vault);
        self.login_appears(vault);
        Some(false)
    }

    /// Returns the vaults of an account that share the store.
    fn sharing_in(&self, account: usize) -> Vec<usize> {
        let sessions = &self.world.watch.sessions;
        let vaults = self.vaults_of(account);
        vaults.filter(|vault| sessions.uses_store(*vault)).collect()
    }

    /// Returns the vaults that share the store.
    pub(super) fn sharing(&self) -> Vec<usize> {
        let sessions = &self.world.watch.sessions;
        let vaults = 0..self.workers.len();
        vaults.filter(|vault| sessions.uses_store(*vault)).collect()
    }

    /// Returns the families of the sessions that the pages of each vault know.
    fn families(&self, vaults: &[usize]) -> Vec<Option<usize>> {
        let sessions = &self.world.watch.sessions;
        vaults.iter().map(|vault| sessions.told(*vault)).collect()
    }

    /// Checks that a login in one vault soon reaches all vaults that share its store. A vault that holds the lock may
    /// first have to repeat a failed write.
    fn login_appears(&mut self, vault: usize) {
        let end = self.now() + STORE_RECOVERY;
        let sharing = match self.world.watch.sessions.uses_store(vault) {
            true => self.sharing_in(self.account_of(vault)),
            false => vec![vault],
        };
        loop {
            let families = self.families(&sharing);
            let its = self.world.watch.sessions.told(vault);
            if its.is_none() {
                // The session has already ended, because in some lives tokens or idle limits last only for seconds.
                self.login_works(vault);
            }
            if families.iter().all(|family| *family == its) {
                break;
            }
            Invariant::Recovery.holds_if(self.now() < end, || {
                format!("a login in vault {vault}, and families {families:?}")
            });
            self.run(SECOND);
        }
        for vault in sharing.iter().copied() {
            let page = self.pages_of(vault)[0];
            let found = self.works_again(page);
            // Without refresh tokens, the session may have ended by now, and the login for the next session may be in
            // flight.
            let is_short = !self.world.provider.issues_refresh_tokens
                || self.families(&sharing).contains(&None);
            Invariant::Recovery.holds_if(found == Found::Working || is_short, || {
                format!("vault {vault} does not learn of a login")
            });
        }
    }

    fn works_again(&mut self, page: PortId) -> Found {
        for api in self.apis.clone() {
            let found = self.works_again_at(page, api);
            if found != Found::Working {
                return found;
            }
        }
        Found::Working
    }

    fn works_again_at(&mut self, page: PortId, api: &'static str) -> Found {
        let begun = self.now();
        let mut was_suspected = false;
        loop {
            let (limit, pause) = self.recovery_limit(api);
            was_suspected |= self.needs_the_user(page) && self.may_be_restored(page);
            let suspected = if was_suspected { SUSPECTED_RECOVERY } else { 0 };
            let end = begun + limit + suspected;
            let page_has_session = self.world.session(page).is_some();
            let call = self.call_of(page, api, "orders", false, Body::Replayable);
            // The last call also gets its full time limit.
            let end_of_call = end.max(self.now() + 30 * SECOND);
            while self.world.response(call).is_none() && self.now() < end_of_call {
                self.run(500);
            }
            match self.world.response(call) {
                Some(PageResponse::Head { status: 200, .. }) if page_has_session => {
                    return Found::Working;
                }
                _ if self.needs_the_user(page) && !self.may_be_restored(page) => {
                    return Found::NeedsUser;
                }
                _ if self.world.session(page).is_none() => return Found::Nothing,
                None => Invariant::Answered.is_broken("a call waits although there are no faults"),
                response => {
                    let response = format!("{response:?}");
                    Invariant::Recovery.holds_if(self.now() < end, || response);
                }
            }
            self.run(pause);
        }
    }

    fn login_works(&mut self, vault: usize) {
        let end = self.now() + RECOVERY;
        loop {
            // The login needs a new page, because an old page may have reached its limit of logins.
            let page = self.world.open_in(vault);
            self.pages.push(page);
            self.run(SECOND);
            self.login_now(page);
            let call = self.call_of(page, API, "orders", false, Body::Replayable);
            self.run(5 * SECOND);
            let response = self.world.response(call);
            if matches!(response, Some(PageResponse::Head { status: 200, .. })) {
                return;
            }
            let response = format!("{response:?} after a login");
            Invariant::Recovery.holds_if(self.now() < end, || response);
        }
    }

    /// Returns true if the page was told that only the user can restore access.
    fn needs_the_user(&self, page: PortId) -> bool {
        let session = self.world.session(page);
        session.and_then(|session| session.str("state")) == Some("interaction_required")
    }

    /// Returns true if the session requires the user only because the vault suspects it. The provider still accepts the
    /// session, so the next attempt restores it.
    fn may_be_restored(&self, page: PortId) -> bool {
        let watch = &self.world.watch;
        watch
            .sessions
            .told(self.world.home(page))
            .is_some_and(|family| {
                self.world.provider.honors(family) && !watch.has_asked_for_user(family)
            })
    }

    /// Returns the time until everything must work again, and the time between two attempts.
    fn recovery_limit(&self, api: &'static str) -> (u64, u64) {
        let told = self.longest_wait + 30 * SECOND;
        let hidden = match self.world.provider.refusing {
            Refusing::Plainly => 0,
            Refusing::Hidden => HIDDEN_RECOVERY,
            // The vault makes three attempts, each after the longest delay between two attempts.
            _ => HIDDEN_RECOVERY / 2,
        };
        let recovery = match self.home {
            Home::Memory => RECOVERY,
            Home::Store { .. } => RECOVERY + STORE_RECOVERY,
        };
        // If an API also rejects the token from a refresh after a 401, the vault does not refresh again after a 401 of this
        // API until that token expires.
        let has_refused = self
            .world
            .refused_renewed
            .contains(&(api, "GET".to_owned()));
        let is_stuck = has_refused || !self.world.provider.issues_refresh_tokens;
        if is_stuck {
            let expired = self.lifetime + 30 * SECOND;
            (
                recovery.max(told).max(expired) + hidden,
                SECOND.max(self.lifetime / 60),
            )
        } else {
            (recovery.max(told) + hidden, SECOND)
        }
    }

    pub(super) fn count(&mut self) {
        self.tally.sessions = 1;
        self.tally.bound = u64::from(self.uses_dpop);
        self.tally.plain = u64::from(self.identity.is_some());
        self.tally.with_own_tokens = u64::from(self.has_own_tokens());
        self.tally.refreshes = self.world.count(REFRESH) as u64;
        self.tally.logins = self.world.watch.logins;
        for _ in 0..self.world.lock_takeovers {
            self.tally.fault("lock taken over");
        }
        self.tally.ends = self.world.watch.ends.clone();
    }
}
