//! Virtual time: it passes, timers fire, devices sleep.

use std::time::Duration;

use super::invariants::Invariant;
use super::{PROMPT, World, parse};
use strongroom::base::clock::{Instant, Millis};
use strongroom::vault::Input;

impl World {
    /// The time as this vault's worker reads it.
    pub(super) fn time_of(&self, vault: usize) -> Instant {
        Instant {
            monotonic: self.now.monotonic + Millis(self.ahead[vault]),
            wall: self.now.wall,
        }
    }

    /// When this vault wants to be woken, by the world's clock.
    pub fn tick_due(&self, vault: usize) -> Option<Millis> {
        if self.stopped.contains(&vault) {
            return None;
        }
        let due = self.vaults[vault].next_tick(self.time_of(vault))?;
        Some(due.saturating_sub(Millis(self.ahead[vault])))
    }

    /// Time passes, and nothing is done.
    pub fn pass(&mut self, time: Millis) {
        self.now.monotonic = self.now.monotonic + time;
        self.now.wall += time.0;
        self.true_time += time.0;
    }

    /// A timer of the vault's fires, so long after it should have.
    pub fn timer_fires(&mut self, late: Millis) {
        self.timer_of(self.turn, late);
    }

    /// A timer of this vault fires, so long after it should have.
    pub fn timer_of(&mut self, vault: usize, late: Millis) {
        self.turn = vault;
        if late > PROMPT {
            self.watch.hinder();
        }
        self.story(|_| format!("the timer fires, {} ms late", late.0));
        self.input(Input::Tick);
    }

    pub fn tick_of(&mut self, v: usize) {
        self.turn = v;
        self.input(Input::Tick);
    }

    /// Time passes; what is due is done, and answered at once.
    pub fn advance(&mut self, duration: Duration) {
        self.settle();
        self.run(duration, true);
    }

    /// Time passes; what is due is done, and waits for its answer.
    pub fn pass_time(&mut self, duration: Duration) {
        self.run(duration, false);
    }

    pub(super) fn run(&mut self, duration: Duration, settles: bool) {
        let end = self.now.monotonic + Millis::from(duration);
        let mut ticks_now = 0;
        let next = |world: &Self| {
            let awake = (0..world.vaults.len()).filter(|vault| !world.frozen.contains(vault));
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
                "the vault asks for a tick again and again".to_owned()
            });
            self.pass(tick.saturating_sub(self.now.monotonic));
            self.tick(settles);
        }
        self.pass(end.saturating_sub(self.now.monotonic));
        self.tick(settles);
    }

    pub(super) fn tick(&mut self, settles: bool) {
        self.each(|| Input::Tick);
        if settles {
            self.settle();
        }
    }

    /// The device sleeps, which only the wall clock notices, and wakes up.
    pub fn sleep(&mut self, duration: Duration) {
        self.sleep_unsettled(duration);
        self.settle();
    }

    /// The same, and what waits goes on waiting.
    pub fn sleep_unsettled(&mut self, duration: Duration) {
        self.sleep_unnoticed(duration);
        self.wake_unsettled();
    }

    /// The device sleeps, and nobody tells the vault that it woke up.
    pub fn sleep_unnoticed(&mut self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.now.wall += millis;
        self.true_time += millis;
        self.watch.hinder();
    }

    /// The device is online again, or a page is visible again.
    pub fn wake(&mut self) {
        self.wake_unsettled();
        self.settle();
    }

    /// The same, and what waits goes on waiting.
    pub fn wake_unsettled(&mut self) {
        self.story(|_| "the vault is told that the device is awake, online or visible".to_owned());
        self.each(|| Input::Woke);
    }

    /// The user sets the device's clock.
    pub fn set_clock_by(&mut self, seconds: i64) {
        self.now.wall = self.now.wall.saturating_add_signed(seconds * 1000);
    }

    pub fn expire_access_token(&mut self) {
        let lifetime = self.provider.lifetime;
        self.advance(lifetime);
    }
}

/// A worker's own clock begins with it, and counts from long ago: see `src/browser/host.rs`.
pub(super) fn ahead(config: &str, now: &Instant) -> u64 {
    const LONG_AGO: u64 = 1 << 40;
    if parse(config).keeps {
        LONG_AGO - now.monotonic.0
    } else {
        0
    }
}
