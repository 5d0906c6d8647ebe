//! Browsers that freeze and kill workers, devices that sleep, clocks that jump, and stores that lose records.

use std::time::Duration;

use rules::base::clock::Millis;
use vault::PortId;

use super::{HOUR, Home, Life, MINUTE, PERSIST, SECOND, Todo, Worker};
use kit::world::{JobId, Kind, REFRESH};

impl Life {
    /// Freezes a page and its worker, as browsers do with background tabs.
    pub(super) fn freeze(&mut self, page: PortId) {
        self.freeze_vault(self.world.home(page));
    }

    fn freeze_vault(&mut self, vault: usize) {
        let awake = |vault: &usize| !self.world.is_frozen(*vault);
        if (0..self.workers.len()).filter(awake).count() < 2 {
            return;
        }
        let millis = self.dice.pick(&[SECOND, 7 * SECOND, MINUTE, 20 * MINUTE]);
        self.tally.fault(if self.is_refreshing() {
            "tab frozen in the middle of a refresh"
        } else {
            "tab frozen"
        });
        self.tell(&format!("vault {vault} is frozen for {millis} ms"));
        self.plan_new_jobs();
        self.world.freeze(vault);
        self.world.watch.hinder();
        let time = self.now() + millis;
        self.at(time, Todo::Thaw(vault));
    }

    /// Freezes a vault that has just got the lock, if a freeze was planned for this moment.
    pub(super) fn freeze_holder(&mut self) {
        if let Some(holder) = self.world.lock_holder().filter(|_| self.freezes_holder)
            && holder < self.workers.len()
        {
            self.freezes_holder = false;
            self.freeze_vault(holder);
        }
    }

    pub(super) fn thaw(&mut self, vault: usize) {
        if !self.world.is_frozen(vault) {
            return;
        }
        self.tell(&format!("vault {vault} thaws"));
        self.world.thaw_one(vault);
        self.workers[vault].alarm = None;
        let now = self.now();
        for todo in std::mem::take(&mut self.workers[vault].frozen) {
            // Events from different sources have no fixed order.
            let time = now + self.dice.pick(&[0, 0, 1, 5]);
            self.at(time, todo);
        }
    }

    /// Lets a script of the origin take the lock.
    pub(super) fn seize_lock(&mut self) {
        if self.world.lock_holder().is_none() {
            self.tally.fault("lock never released");
            self.tell("a holder that is not a vault takes the lock");
            self.world.seize_lock(true);
            self.world.watch.hinder();
            let time = self.now() + self.dice.pick(&[2 * SECOND, 20 * SECOND, 2 * MINUTE]);
            self.at(time, Todo::FreeLock);
        }
    }

    pub(super) fn lose_record(&mut self) {
        match self.dice.roll(3) {
            0 => {
                self.tally.fault("storage cleared");
                self.tell("the site's data is cleared");
                self.world.clear_site_data();
            }
            1 => {
                self.tally.fault("record damaged");
                self.tell("the stored records cannot be decrypted any more");
                self.world.damage_store();
            }
            _ => {}
        }
    }

    /// Starts a refresh, and disturbs it at a random step.
    pub(super) fn disturb_refresh(&mut self) {
        self.run(self.lifetime);
        for _ in 0..2 {
            let page = self.some_page();
            self.fetch(page);
        }
        let millis = self.dice.roll(700) as u64;
        self.run(millis);
        let page = self.some_page();
        match self
            .dice
            .roll(if self.home == Home::Memory { 6 } else { 9 })
        {
            6 => self.freeze(page),
            7 => self.close_tab(page),
            8 => self.log_out_everywhere(),
            0 => self.kill_worker(page),
            1 => self.close(page),
            2 => self.sleep(),
            3 => {
                self.world.logout(page);
            }
            4 => self.login_now(page),
            _ => self.wall_clock_jumps(),
        }
    }

    /// Returns true during a refresh, at any of its steps.
    pub(super) fn is_refreshing(&self) -> bool {
        [REFRESH, Kind::Verify, Kind::Persist]
            .iter()
            .any(|kind| self.world.outstanding(*kind) > 0)
    }

    pub(super) fn wall_clock_jumps(&mut self) {
        let seconds = self.dice.pick(&[-7200, -600, -30, -1, 1, 30, 240, 3600]);
        self.set_clock_by(seconds);
        if self.dice.roll(3) != 0 {
            // The user or the system corrects the clock later.
            let time = self.now() + self.dice.pick(&[SECOND, 2 * MINUTE]);
            self.at(time, Todo::SetClock(-seconds));
        }
    }

    pub(super) fn set_clock_by(&mut self, seconds: i64) {
        self.tally.fault("wall clock jumps");
        self.tell(&format!("the wall clock changes by {seconds} s"));
        self.world.set_clock_by(seconds);
        if seconds > 0 {
            // The vault cannot tell this from a sleep.
            self.world.watch.hinder();
        }
    }

    /// Lets the pages notice the worker's end, and connect to another worker.
    pub(super) fn kill_worker(&mut self, page: PortId) {
        let vault = self.world.home(page);
        self.tally.fault(if self.is_refreshing() {
            "worker killed in the middle of a refresh"
        } else {
            "worker killed"
        });
        self.replace_worker(vault);
    }

    /// Deploys a new build of the app in some lives. Workers that start from now on are of this build.
    pub(super) fn deploys(&mut self) {
        self.replace_stopped();
        let Some(dice) = &mut self.build_dice else {
            return;
        };
        if dice.roll(12) == 0 {
            self.builds += 1;
            self.tell("a new build is deployed");
            self.serve_a_build();
            self.tally.fault("new build deployed");
        }
    }

    /// Sets the configuration of the workers that start from now on.
    pub(super) fn serve_a_build(&mut self) {
        let persist = match &mut self.storage_dice {
            Some(dice) => dice.pick(&[self.persist, "memory"]),
            None => self.persist,
        };
        let mut config = self.config.replace(PERSIST, persist);
        if self.builds > 0 {
            let tolerance = format!(r#"{{"clockTolerance":{},"#, 60 + self.builds);
            config = config.replacen('{', &tolerance, 1);
        }
        self.world.reconfigure(&config);
    }

    /// Counts a life in which a vault without a store has a session beside one with a store.
    pub(super) fn notice_storages(&mut self) {
        let sessions = &self.world.watch.sessions;
        let has_both = || {
            let vaults = (0..self.workers.len()).filter(|vault| sessions.told(*vault).is_some());
            let mut stores: Vec<bool> = vaults.map(|vault| sessions.uses_store(vault)).collect();
            stores.sort_unstable();
            stores.dedup();
            stores.len() == 2
        };
        if self.storage_dice.is_some() && self.tally.mixed == 0 && has_both() {
            self.tally.mixed = 1;
        }
    }

    /// Counts a life in which two accounts have a session each at the same time.
    pub(super) fn notice_accounts(&mut self) {
        let accounts = 0..self.users.len();
        let has_session = |account| self.told_in(account).is_some();
        if accounts.len() > 1 && accounts.into_iter().all(has_session) {
            self.tally.side_by_side = 1;
        }
    }

    /// Replaces the workers of vaults that have stopped because a user has signed in in a newer build.
    fn replace_stopped(&mut self) {
        for vault in self.world.stopped.clone() {
            self.tally.fault("outdated vault stopped");
            self.replace_worker(vault);
        }
    }

    /// Lets the pages of a worker connect to one of the newest build.
    pub(super) fn replace_worker(&mut self, vault: usize) {
        for _ in 0..self.end_worker(vault) {
            self.open_in(vault);
        }
    }

    /// Ends the worker at any step and returns the number of its pages. The worker's requests may still reach the
    /// provider, and its writes may still reach the store.
    pub(super) fn end_worker(&mut self, vault: usize) -> usize {
        self.script_gives_up();
        self.plan_new_jobs();
        let is_its = |job: &JobId| self.world.vault_of(*job) == Some(vault);
        let jobs = self.agenda.values().filter_map(Todo::acts).filter(is_its);
        let on_their_way: Vec<JobId> = jobs.collect();
        let jobs = self.agenda.values().filter_map(Todo::writes).filter(is_its);
        let writes: Vec<JobId> = jobs.collect();
        for job in on_their_way {
            if self.dice.roll(2) == 0 {
                self.provider_acts(job);
            }
        }
        for job in writes {
            if self.dice.roll(2) == 0 {
                self.world.write_lands(job);
            }
        }
        self.tell(&format!("the worker of vault {vault} is killed"));
        if self.storage_dice.is_some() {
            self.serve_a_build();
        }
        self.world.kill(vault);
        self.workers[vault] = Worker::default();
        let its = self.pages_of(vault);
        self.pages.retain(|page| !its.contains(page));
        self.calls.retain(|call| !its.contains(&call.port));
        its.len()
    }

    /// Lets the device sleep. On some devices the monotonic clock stops during sleep. Requests in flight reach the
    /// provider, and their responses are lost if the sleep was long.
    pub(super) fn sleep(&mut self) {
        self.tally.fault(if self.is_refreshing() {
            "sleep in the middle of a refresh"
        } else {
            "sleep"
        });
        let millis = self
            .dice
            .pick(&[5 * SECOND, MINUTE, 20 * MINUTE, 20 * MINUTE, 3 * HOUR]);
        let end = self.now() + millis;
        self.world
            .story(|_| format!("the device sleeps for {millis} ms"));
        let clock_stands_still = self.dice.roll(2) == 0;
        self.plan_new_jobs();
        let due: Vec<(u64, u64)> = self.agenda.range(..(end, 0)).map(|(key, _)| *key).collect();
        for key in due {
            match self.agenda[&key] {
                Todo::ProviderActs(job) => {
                    self.agenda.remove(&key);
                    self.sleep_until(key.0, clock_stands_still);
                    self.provider_acts(job);
                }
                Todo::AnswerArrives(job)
                    if millis > 30 * SECOND
                        && matches!(
                            self.world.kind_of(job),
                            Some(Kind::Provider(_) | Kind::Call)
                        )
                        && self.dice.roll(2) == 0 =>
                {
                    self.agenda.insert(key, Todo::NetworkFails(job));
                }
                _ => {}
            }
        }
        self.sleep_until(end, clock_stands_still);
        self.wakes();
    }

    /// The network comes back after the device, and then changes once or twice. The pages report this, but sometimes late or
    /// never.
    fn wakes(&mut self) {
        self.world.watch.sessions.woke();
        let awake = self.now();
        let absent = self.dice.pick(&[0, 0, 300, 2 * SECOND, 8 * SECOND]);
        if absent > 0 {
            self.offline_until = awake + absent;
            self.knows_offline = self.more_dice.roll(2) == 0;
        }
        for _ in 0..self.dice.roll(3) {
            let later = self.dice.pick(&[100, 500, 1500, 3 * SECOND, 15 * SECOND]);
            self.at(awake + absent + later, Todo::NetworkChanges);
        }
        match self.dice.roll(4) {
            0 => {}
            1 => self.at(awake + absent + 10 * SECOND, Todo::Online),
            _ => self.at(awake + absent, Todo::Online),
        }
    }

    /// Fails the requests in flight. The servers act on half of them.
    pub(super) fn network_changes(&mut self) {
        self.tally.fault("network changed");
        self.tell("the network changes");
        self.plan_new_jobs();
        let jobs = self.agenda.values().filter_map(Todo::writes);
        let kind_of = |job: &JobId| self.world.kind_of(*job);
        let is_request = |job: &JobId| matches!(kind_of(job), Some(Kind::Provider(_) | Kind::Call));
        let in_flight: Vec<JobId> = jobs.filter(is_request).collect();
        for job in in_flight {
            if self.dice.roll(2) == 0 {
                self.provider_acts(job);
            }
            self.do_it(Todo::NetworkFails(job));
        }
    }

    fn sleep_until(&mut self, time: u64, clock_stands_still: bool) {
        let millis = time.saturating_sub(self.now());
        if clock_stands_still {
            self.world.sleep_unnoticed(Duration::from_millis(millis));
        } else {
            self.world.pass(Millis(millis));
            self.world.watch.hinder();
        }
    }
}
