//! Events counted over many lives.

use std::collections::BTreeMap;
use std::fmt;

use kit::world::invariants::Ends;

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sessions: u64,
    /// Lives in which tokens are bound to a key.
    pub(crate) bound: u64,
    /// Lives with a server that issues no ID tokens.
    pub(crate) plain: u64,
    /// Lives in which an API has its own tokens.
    pub(crate) with_own_tokens: u64,
    /// Lives in which a vault without a store had a session beside a session of a vault with a store.
    pub(crate) mixed: u64,
    /// Lives in which two accounts had a session each at the same time.
    pub(crate) side_by_side: u64,
    /// Responses to logins that were shown to another account.
    pub(crate) shown_elsewhere: u64,
    pub(crate) steps: u64,
    pub(crate) calls: u64,
    pub(crate) logins: u64,
    pub(crate) sockets: u64,
    /// Logins that an API has demanded.
    pub(crate) step_ups: u64,
    /// The number of times that a vault gave its key to the escrow.
    pub(crate) hand_overs: u64,
    /// Records that had expired when a vault wrote to the store.
    pub(crate) discarded: u64,
    /// Logins on another device that were begun.
    pub(crate) device_logins: u64,
    pub(crate) refreshes: u64,
    faults: BTreeMap<&'static str, u64>,
    pub(crate) ends: Ends,
    /// Lives whose session worked again after the faults without another login.
    pub(crate) kept: u64,
    /// Lives at whose end the provider required the user to sign in.
    pub(crate) need_the_user: u64,
    /// Lives in which a login could not be checked, because no clock was right and the provider does not send the time.
    pub(crate) clocks_apart: u64,
    /// Calls and logouts that waited when the faults stopped.
    pub(crate) settling: u64,
}

impl Tally {
    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.faults.entry(name).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.sessions, other.sessions),
            (&mut self.bound, other.bound),
            (&mut self.plain, other.plain),
            (&mut self.with_own_tokens, other.with_own_tokens),
            (&mut self.mixed, other.mixed),
            (&mut self.side_by_side, other.side_by_side),
            (&mut self.shown_elsewhere, other.shown_elsewhere),
            (&mut self.steps, other.steps),
            (&mut self.calls, other.calls),
            (&mut self.logins, other.logins),
            (&mut self.sockets, other.sockets),
            (&mut self.step_ups, other.step_ups),
            (&mut self.hand_overs, other.hand_overs),
            (&mut self.discarded, other.discarded),
            (&mut self.device_logins, other.device_logins),
            (&mut self.refreshes, other.refreshes),
            (&mut self.kept, other.kept),
            (&mut self.need_the_user, other.need_the_user),
            (&mut self.clocks_apart, other.clocks_apart),
            (&mut self.settling, other.settling),
            (
                &mut self.ends.lost_without_leeway,
                other.ends.lost_without_leeway,
            ),
            (
                &mut self.ends.lost_beyond_leeway,
                other.ends.lost_beyond_leeway,
            ),
            (&mut self.ends.lost_with_worker, other.ends.lost_with_worker),
        ] {
            *sum += more;
        }
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        for (reason, count) in &other.ends.by_reason {
            *self.ends.by_reason.entry(reason.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sessions,
            bound,
            plain,
            with_own_tokens,
            mixed,
            side_by_side,
            shown_elsewhere,
            steps,
            calls,
            logins,
            device_logins,
            sockets,
            step_ups,
            hand_overs,
            discarded,
            refreshes,
            kept,
            need_the_user,
            clocks_apart,
            settling,
            ends,
            ..
        } = self;
        writeln!(
            f,
            "  {sessions} sessions: {steps} steps, {logins} logins, {device_logins} begun on another device, {calls} calls, {sockets} sockets, {step_ups} logins that an API demanded, {refreshes} refreshes, {hand_overs} keys given to the escrow, {discarded} records of the store that had expired"
        )?;
        writeln!(
            f,
            "  of them {bound} with tokens that are bound to a key, {with_own_tokens} with an API that has tokens of its own, {plain} with a server that issues no ID tokens, {mixed} with a session in memory beside a stored one, {side_by_side} with two accounts side by side, and {shown_elsewhere} responses to logins that were shown to the other account"
        )?;
        writeln!(
            f,
            "  after the last fault: {kept} worked again as they were, {need_the_user} needed the user; where there was none, a login worked ({clocks_apart} not tried: no clock to go by); {settling} calls and logouts still waited, and got their responses"
        )?;
        list(f, "faults", &self.faults)?;
        list(f, "ends by reason", &ends.by_reason)?;
        writeln!(
            f,
            "  allowed losses: {} (the response was really lost, and the provider gives no leeway)",
            ends.lost_without_leeway
        )?;
        writeln!(
            f,
            "  lost with a worker: {} (it was killed between the provider's rotation and the store's write)",
            ends.lost_with_worker
        )?;
        write!(
            f,
            "  lost although there is leeway: {} (the response was really lost, and other faults or sleep outlasted the leeway)",
            ends.lost_beyond_leeway
        )
    }
}

fn list<N: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    counts: &BTreeMap<N, u64>,
) -> fmt::Result {
    let counts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    writeln!(f, "  {title}: {}", counts.join(", "))
}
