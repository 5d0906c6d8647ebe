//! A script of the origin that copies the record of a session, and puts it back after the session has ended.
//!
//! Only the vault that has written the end refuses such a record, so this happens in lives with one vault, and while its
//! worker lives.

use super::{Home, Life};
use kit::dice::Dice;
use kit::world::{Copied, Kind};

/// The script of a life, if it has one.
pub(super) struct Script {
    dice: Dice,
    copied: Option<Copied>,
    /// True if the vault has written the end of the copied session.
    is_over: bool,
}

impl Script {
    pub(super) fn of(seed: u64, home: Home) -> Option<Self> {
        let mut dice = Dice::new(seed.rotate_left(17));
        let has_one = home == (Home::Store { vaults: 1 }) && dice.roll(3) == 0;
        has_one.then_some(Self {
            dice,
            copied: None,
            is_over: false,
        })
    }
}

impl Life {
    /// Lets the script copy the record, or put its copy back.
    pub(super) fn script_acts(&mut self) {
        let stored = self.world.watch.sessions.record(0);
        let Some(script) = &mut self.script else {
            return;
        };
        let roll = script.dice.roll(4);
        match (&script.copied, stored) {
            (Some(copied), Some(stored))
                if stored.sid() == copied.sid() && stored.ended().is_some() =>
            {
                // After a loss of the store, a session may come back.
                let is_known = self.world.outstanding(Kind::Persist) == 0;
                script.is_over |= is_known && stored.ended() != Some("storage_lost");
            }
            (_, Some(stored)) if roll == 0 && stored.ended().is_none() && !script.is_over => {
                script.copied = self.world.copy_record(0);
            }
            _ => {}
        }
        if let Some(copied) = script.copied.clone().filter(|_| script.is_over && roll > 1) {
            self.tally.fault("record put back");
            self.tell("a script puts the record of a session back");
            self.world.put_back(&copied);
        }
    }

    /// Removes the script's record before the vault forgets its end.
    pub(super) fn script_gives_up(&mut self) {
        let stored = self.world.watch.sessions.record(0);
        let Some(script) = &mut self.script else {
            return;
        };
        script.is_over = false;
        let copied = script.copied.take();
        if copied
            .zip(stored)
            .is_some_and(|(copied, stored)| copied.sid() == stored.sid())
        {
            self.world.clear_site_data();
        }
    }
}
