//! The ends that this vault knows to have been in the store. A script of the origin can copy the record of a session, and put
//! it back after the session has ended. This vault then refuses the session, and writes its end again for the other vaults.
//!
//! This is the memory of one vault, which ends with its worker.

use crate::persistence::tombstone::Ended;
use rules::base::clock::{Instant, Millis};
use rules::config::Limits;
use rules::prelude::*;
use rules::session::{EndReason, Session};

/// The number of ends that a vault remembers.
const MOST: usize = 16;

/// The shortest time between two writes of an end that the store had before.
const REWRITE_INTERVAL: Millis = Millis::from_secs(60);

/// An end that was in the store.
struct KnownEnd {
    ended: Ended,
    /// The time from which it may be written again.
    again_at: Millis,
}

/// The vault's reaction to a stored session that has ended before.
pub(super) enum Refusal {
    /// Writes the end again.
    Now(Ended),
    /// Reads the store again at this time.
    Later(Millis),
}

/// The ends that a vault remembers. The latest is the last one.
#[derive(Default)]
pub(super) struct KnownEnds(Vec<KnownEnd>);

impl KnownEnds {
    /// Remembers an end that this vault has written, or has read as a logout. Returns true if the end was known.
    pub(super) fn add(&mut self, ended: Ended) -> bool {
        // The vault of another tab may fill an emptied store again, and its session is valid.
        // control: lost_store_is_not_a_known_end
        if ended.reason == EndReason::StorageLost {
            return false;
        }
        let place = self.place_of(&ended.sid);
        let before = place.map(|i| self.0.remove(i));
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(KnownEnd {
            ended: ended.into_known(),
            again_at: before.as_ref().map_or(Millis::ZERO, |it| it.again_at),
        });
        before.is_some()
    }

    /// Decides about a session that was found in the store. Returns `None` for a session that may continue. An end that newer
    /// activity or a newer refresh token undoes is forgotten.
    pub(super) fn refuse(
        &mut self,
        theirs: &Session,
        limits: &Limits,
        now: &Instant,
    ) -> Option<Refusal> {
        let place = self.place_of(theirs.sid())?;
        let known = &mut self.0[place];
        if !known.ended.ends(theirs, limits, now) {
            self.0.remove(place);
            return None;
        }
        // control: known_end_is_written_seldom
        if now.monotonic < known.again_at {
            return Some(Refusal::Later(known.again_at));
        }
        known.again_at = now.monotonic + REWRITE_INTERVAL;
        Some(Refusal::Now(known.ended.clone()))
    }

    fn place_of(&self, sid: &str) -> Option<usize> {
        self.0.iter().position(|known| known.ended.sid == sid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_end_is_forgotten_first() {
        let mut known = KnownEnds::default();
        let mut add = |number: usize| {
            let sid = ["sid-", &number.to_string()].concat();
            let end = Ended::read(&sid, EndReason::LoggedOut, Instant::default());
            known.add(end);
        };
        (0..MOST).for_each(&mut add);
        // An end that is read again is the latest.
        add(0);
        add(MOST);
        assert_eq!(known.0.len(), MOST);
        assert!(known.place_of("sid-0").is_some());
        assert!(known.place_of("sid-1").is_none());
    }
}
