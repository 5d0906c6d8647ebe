//! The merge of two copies of a session's record: the store's, and the one that an isolate remembers. The isolate's copy
//! has what the store lacks: a write failed, its response was lost, or the store has lost its last writes.
//!
//! - An end beats life. The end of an idle session yields to later activity.
//! - The higher generation wins. At equal generations, a session beats none.
//! - Of two intents of the highest generation, the later one counts.
//! - Of two bindings, the store's counts. One binding beats none.
//! - Presented generations are united, and the latest ones are kept.
//! - The user's latest activity counts.
//! - The store's copy counts in everything else.

use alloc::rc::Rc;
use core::cmp::Ordering;
use rules::prelude::*;

use crate::session::record::{Intent, MOST_PRESENTED, Presented, Record};
use rules::base::clock::Millis;
use rules::session::EndReason;

/// Merges `ours`, which this isolate remembers, with the store's record. `idle` is the idle limit of sessions.
#[must_use]
#[inline(never)]
pub fn merge(ours: &Record, stored: &Record, idle: Millis) -> Record {
    let (winner, other) = match first_counts(ours, stored, idle) {
        true => (ours, stored),
        false => (stored, ours),
    };
    let mut merged = winner.clone();
    let bound = stored.bound.as_ref().or(ours.bound.as_ref());
    if let Some(bound) = bound.filter(|bound| winner.bound.as_ref() != Some(bound)) {
        merged = merged.with_binding(bound.clone());
    }
    if merged.ended.is_some() {
        return merged;
    }
    if ours.generation == stored.generation {
        merged.intent = later(stored.intent.as_ref(), ours.intent.as_ref()).cloned();
    }
    merged.presented = united(&stored.presented, &ours.presented);
    if let Some(session) = &mut merged.session
        && let Some(other) = &other.session
        && other.active > session.active
    {
        Rc::make_mut(session).active = other.active;
    }
    merged
}

/// Returns true if `record` has something that must be written to the store, whose record is `stored`: the end of the
/// session, a later generation, or a binding. [`merge`] has already decided that it counts.
#[must_use]
pub fn is_unwritten(record: &Record, stored: Option<&Record>) -> bool {
    let (generation, ended, bound) = match stored {
        Some(stored) => (
            stored.generation,
            stored.ended.is_some(),
            stored.bound.is_some(),
        ),
        None => (0, false, false),
    };
    let ends = record.ended.is_some() && !ended;
    ends || record.generation > generation || record.bound.is_some() && !bound
}

/// Returns true if `ours` counts and not the store's record.
fn first_counts(ours: &Record, stored: &Record, idle: Millis) -> bool {
    match (ours.ended, stored.ended) {
        (_, Some(_)) => false,
        (Some(EndReason::Idle), None) => !was_active(stored, ours, idle),
        (Some(_), None) => true,
        (None, None) => match ours.generation.cmp(&stored.generation) {
            // control: uncommitted_successor_is_kept
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => ours.session.is_some() && stored.session.is_none(),
        },
    }
}

/// Returns true if the session of this record was not idle at the time of this end.
fn was_active(record: &Record, end: &Record, idle: Millis) -> bool {
    let session = record.session.as_ref();
    session.is_some_and(|session| session.active.saturating_add(idle.0) > end.committed_at)
}

/// Returns the later one of two intents. If they have the same number, returns the first one.
fn later<'a>(first: Option<&'a Intent>, second: Option<&'a Intent>) -> Option<&'a Intent> {
    match (first, second) {
        (Some(first), Some(second)) if second.number > first.number => Some(second),
        // control: lost_intent_is_honored
        (None, second) => second,
        (first, _) => first,
    }
}

/// Returns the latest of all presented generations, each with the time at which its cookie was first presented.
fn united(stored: &[Presented], ours: &[Presented]) -> Vec<Presented> {
    let mut all = stored.to_vec();
    for one in ours {
        match all.binary_search_by_key(&one.generation, |known| known.generation) {
            Ok(place) => all[place].at = all[place].at.min(one.at),
            Err(place) => all.insert(place, *one),
        }
    }
    all.drain(..all.len().saturating_sub(MOST_PRESENTED));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Session;
    use crate::session::binding::Binding;
    use rules::base::clock::UnixMillis;

    const IDLE: Millis = Millis(100);

    /// A generator of numbers (`SplitMix64`).
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % sides
        }
    }

    fn session(generation: u64, active: UnixMillis) -> Rc<Session> {
        let mut session = Session::unknown("sid", 0);
        (session.generation, session.active) = (generation, active);
        Rc::new(session)
    }

    /// Returns a record of this generation whose user was last active at this time.
    fn record(generation: u64, active: UnixMillis) -> Record {
        Record::of(&session(generation, active), 0)
    }

    fn ended(reason: EndReason, at: UnixMillis) -> Record {
        Record::of_ended(&session(0, 0), reason, at)
    }

    fn intent(holder: &str, number: u64) -> Option<Intent> {
        Some(Intent {
            holder: holder.to_owned(),
            number,
            written_at: 0,
        })
    }

    fn binding(thumbprint: &str) -> Binding {
        Binding {
            thumbprint: thumbprint.to_owned(),
            since: 0,
        }
    }

    fn any(dice: &mut Dice) -> Record {
        let generation = dice.roll(3);
        let mut record = record(generation, dice.roll(300));
        if dice.roll(5) == 0 {
            record = ended(EndReason::LoggedOut, dice.roll(300));
        } else if dice.roll(5) == 0 {
            record = ended(EndReason::Idle, dice.roll(300));
        } else {
            if dice.roll(4) == 0 {
                record.session = None;
            }
            if dice.roll(2) == 0 {
                record.intent = intent(["a", "b", ""][dice.roll(3) as usize], dice.roll(4));
            }
            let mut next = 0;
            for _ in 0..dice.roll(100) {
                next += 1 + dice.roll(3);
                record.presented.push(Presented {
                    generation: next,
                    at: dice.roll(100),
                });
            }
        }
        if dice.roll(3) == 0 {
            record = record.with_binding(binding(["x", "y"][dice.roll(2) as usize]));
        }
        record
    }

    /// Calls `check` with many pairs of records and their merge.
    fn for_many(check: impl Fn(&Record, &Record, &Record)) {
        let mut dice = Dice(1);
        for _ in 0..20_000 {
            let (ours, stored) = (any(&mut dice), any(&mut dice));
            check(&ours, &stored, &merge(&ours, &stored, IDLE));
        }
    }

    fn text(record: &Record) -> String {
        record.to_text().expose().to_owned()
    }

    #[test]
    fn merging_again_changes_nothing() {
        for_many(|ours, stored, merged| {
            assert_eq!(text(&merge(merged, stored, IDLE)), text(merged));
            assert_eq!(text(&merge(merged, merged, IDLE)), text(merged));
            assert!(!is_unwritten(merged, Some(merged)));
            let again = merge(ours, merged, IDLE);
            assert_eq!(again.ended, merged.ended);
            assert_eq!(again.generation, merged.generation);
            assert_eq!(again.bound, merged.bound);
            assert_eq!(again.presented, merged.presented);
        });
    }

    #[test]
    fn end_beats_life_except_an_unwritten_idle_end() {
        for_many(|ours, stored, merged| {
            if stored.ended.is_some() {
                assert_eq!(merged.ended, stored.ended);
            } else if ours.ended == Some(EndReason::LoggedOut) {
                assert_eq!(merged.ended, ours.ended);
            } else if ours.ended.is_none() {
                assert_eq!(merged.ended, None);
            }
            if merged.ended.is_some() {
                assert!(merged.session.is_none() && merged.intent.is_none());
                assert!(merged.presented.is_empty());
            }
        });
    }

    #[test]
    fn idle_end_yields_to_later_activity_only() {
        let idle = ended(EndReason::Idle, 250);
        assert_eq!(merge(&idle, &record(0, 151), IDLE).ended, None);
        let over = Some(EndReason::Idle);
        assert_eq!(merge(&idle, &record(0, 150), IDLE).ended, over);
        // An end that was written stands.
        assert_eq!(merge(&record(0, 151), &idle, IDLE).ended, over);
    }

    #[test]
    fn higher_generation_wins() {
        for_many(|ours, stored, merged| {
            if ours.ended.or(stored.ended).is_none() {
                let highest = ours.generation.max(stored.generation);
                assert_eq!(merged.generation, highest);
                let has_session = |one: &Record| one.generation == highest && one.session.is_some();
                let is_there = has_session(ours) || has_session(stored);
                assert_eq!(merged.session.is_some(), is_there);
            }
        });
    }

    #[test]
    fn latest_intent_of_the_highest_generation_counts() {
        for_many(|ours, stored, merged| {
            if merged.ended.is_some() {
                return;
            }
            let of_it = [ours, stored].map(|one| {
                let intent = one.intent.as_ref();
                intent.filter(|_| one.ended.is_none() && one.generation == merged.generation)
            });
            let number = |intent: Option<&Intent>| intent.map(|intent| intent.number);
            let latest = of_it.map(number).into_iter().max().flatten();
            assert_eq!(number(merged.intent.as_ref()), latest);
        });
        let (mut ours, mut stored) = (record(0, 0), record(0, 0));
        (ours.intent, stored.intent) = (intent("a", 5), intent("b", 5));
        assert_eq!(merge(&ours, &stored, IDLE).intent, stored.intent);
    }

    #[test]
    fn binding_is_never_lost_and_the_store_decides() {
        for_many(|ours, stored, merged| {
            let expected = stored.bound.as_ref().or(ours.bound.as_ref());
            assert_eq!(merged.bound.as_ref(), expected);
            if let Some(session) = &merged.session
                && expected.is_some()
            {
                assert_eq!(session.bound.as_ref(), expected);
            }
        });
    }

    #[test]
    fn latest_presented_generations_are_kept() {
        for_many(|ours, stored, merged| {
            if merged.ended.is_some() || ours.ended.or(stored.ended).is_some() {
                return;
            }
            let mut all: Vec<u64> = ours
                .presented
                .iter()
                .chain(&stored.presented)
                .map(|one| one.generation)
                .collect();
            all.sort_unstable();
            all.dedup();
            let kept: Vec<u64> = merged.presented.iter().map(|one| one.generation).collect();
            assert_eq!(kept, all[all.len().saturating_sub(128)..]);
        });
    }

    #[test]
    fn latest_activity_counts() {
        for_many(|ours, stored, merged| {
            if let (Some(session), Some(one), Some(other)) =
                (&merged.session, &ours.session, &stored.session)
            {
                assert_eq!(session.active, one.active.max(other.active));
            }
        });
    }

    #[test]
    fn end_generation_and_binding_are_written() {
        let (first, second) = (record(0, 0), record(1, 0));
        let over = ended(EndReason::LoggedOut, 0);
        let bound = first.with_binding(binding("x"));
        // Without a record, the session has the generation of its login.
        for (ours, stored, expected) in [
            (&first, None, false),
            (&second, None, true),
            (&over, None, true),
            (&bound, None, true),
            (&second, Some(&second), false),
            (&second, Some(&first), true),
            (&over, Some(&second), true),
            (&over, Some(&over), false),
            (&bound, Some(&first), true),
            (&bound, Some(&bound), false),
        ] {
            assert_eq!(is_unwritten(ours, stored), expected);
        }
    }
}
