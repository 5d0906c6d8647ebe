//! Lets virtual time pass, timers fire and devices sleep.

use std::time::Duration;

use super::invariants::Invariant;
use super::{PROMPT, Settings, World};
use rules::base::clock::{Instant, Millis};
use vault::Input;

impl World {
    /// Returns the time as this vault's worker reads it.
    pub(super) fn time_of(&self, vault: usize) -> Instant {
        Instant {
            monotonic: self.now.monotonic + Millis(self.workers.ahead[vault]),
            wall: self.now.wall,
        }
    }

    /// Returns the time at which this vault's timer is due, by the world's clock. Returns `None` if the vault needs no
    /// timer or has stopped.
    pub fn tick_due(&self, vault: usize) -> Option<Millis> {
        if self.stopped.contains(&vault) {
            return None;
        }
        let due = self.workers.vaults[vault].next_tick(self.time_of(vault))?;
        Some(due.saturating_sub(Millis(self.workers.ahead[vault])))
    }

    /// Lets time pass and does nothing else.
    pub fn pass(&mut self, time: Millis) {
        self.now.monotonic = self.now.monotonic + time;
        self.now.wall += time.0;
        self.true_time += time.0;
    }

    /// Fires the timer of the vault that runs now. The timer is late by this much.
    pub fn timer_fires(&mut self, late: Millis) {
        self.timer_of(self.workers.turn, late);
    }

    /// Fires the timer of this vault. The timer is late by this much.
    pub fn timer_of(&mut self, vault: usize, late: Millis) {
        self.workers.turn = vault;
        if late > PROMPT {
            self.watch.hinder();
        }
        self.story(|_| format!("the timer fires, {} ms late", late.0));
        self.input(Input::Tick);
    }

    pub fn tick_of(&mut self, v: usize) {
        self.workers.turn = v;
        self.input(Input::Tick);
    }

    /// Lets time pass, fires due timers, and completes the operations that the vaults ask for.
    pub fn advance(&mut self, duration: Duration) {
        self.answer_all();
        self.run(duration, true);
    }

    /// Lets time pass and fires due timers. The vaults' operations stay pending.
    pub fn pass_time(&mut self, duration: Duration) {
        self.run(duration, false);
    }

    pub(super) fn run(&mut self, duration: Duration, answers: bool) {
        let end = self.now.monotonic + Millis::from(duration);
        let mut ticks_now = 0;
        let next = |world: &Self| {
            let awake = (0..world.workers.vaults.len())
                .filter(|vault| !world.workers.frozen.contains(vault));
            let ticks = awake.filter_map(|vault| world.tick_due(vault));
            ticks.min().filter(|tick| *tick <= end)
        };
        while let Some(tick) = next(self) {
            ticks_now = if tick > self.now.monotonic {
                0
            } else {
                ticks_now + 1
            };
            Invariant::Sanity.holds_if(ticks_now < 100, || {
                "the vault keeps asking for a tick".to_owned()
            });
            self.pass(tick.saturating_sub(self.now.monotonic));
            self.tick(answers);
        }
        self.pass(end.saturating_sub(self.now.monotonic));
        self.tick(answers);
    }

    pub(super) fn tick(&mut self, answers: bool) {
        self.each(|| Input::Tick);
        if answers {
            self.answer_all();
        }
    }

    /// Lets the device sleep and wake up. During sleep the wall clock advances, and the monotonic clock stands still.
    pub fn sleep(&mut self, duration: Duration) {
        self.sleep_unanswered(duration);
        self.answer_all();
    }

    /// Does the same as `sleep`, but leaves the vaults' operations pending.
    pub fn sleep_unanswered(&mut self, duration: Duration) {
        self.sleep_unnoticed(duration);
        self.wake_unanswered();
    }

    /// Lets the device sleep and wake up. No page reports that the device is online again.
    pub fn sleep_unnoticed(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.now.wall += millis;
        self.true_time += millis;
        self.watch.hinder();
    }

    /// Lets the pages of all vaults that are not frozen report that the device is online again. Then completes the vaults'
    /// operations.
    pub fn wake(&mut self) {
        self.wake_unanswered();
        self.answer_all();
    }

    /// Does the same as `wake`, but leaves the vaults' operations pending.
    pub fn wake_unanswered(&mut self) {
        self.story(|_| "all pages report that the device is online".to_owned());
        for port in self.pages.greeted.clone() {
            let is_frozen = self.workers.frozen.contains(&self.pages.homes[&port]);
            // An earlier report may have disconnected this page.
            if !is_frozen && self.pages.greeted.contains(&port) {
                self.say(port, r#"{"t":"online"}"#);
            }
        }
    }

    /// Changes the device's clock, as the user may.
    pub fn set_clock_by(&mut self, seconds: i64) {
        self.now.wall = self.now.wall.saturating_add_signed(seconds * 1000);
    }

    pub fn expire_access_token(&mut self) {
        let lifetime = self.provider.lifetime;
        self.advance(lifetime);
    }
}

/// Returns how far a worker's monotonic clock is ahead of the world's. With persistence, the worker's clock starts at
/// `LONG_AGO`, as in `src/browser/host.rs`.
pub(super) fn ahead(config: &Settings, now: &Instant) -> u64 {
    const LONG_AGO: u64 = 1 << 40;
    if config.parsed.stores_sessions() {
        LONG_AGO - now.monotonic.0
    } else {
        0
    }
}
