//! The activity of the user. At most fifteen seconds after an activity, the vault begins to store it. Before a vault
//! ends a stored session at the idle limit, the vault reads the store, because the user may have been active in another
//! tab.

use crate::context::Context;
use rules::base::clock::Millis;

/// The longest time until the vault begins to store an activity.
const DELAY: Millis = Millis::from_secs(15);

/// The activity in this vault.
#[derive(Default)]
pub(crate) struct Activity {
    /// The latest time at which the vault begins to store the activity.
    pub(crate) flush_at: Option<Millis>,
    /// True if the next write must include an activity of the user.
    pub(crate) is_new: bool,
    /// True if the write in flight includes an activity of the user.
    pub(crate) is_counted: bool,
}

impl Activity {
    /// Forgets the activity in the previous session, which was replaced.
    pub(crate) fn forget(&mut self, ctx: &mut Context) {
        self.is_counted = false;
        ctx.doubt = None;
    }

    /// Records that the user was active. Returns true if the activity counts now, and false while the session is in
    /// doubt.
    pub(super) const fn record(&mut self, ctx: &mut Context) -> bool {
        if !ctx.stores_sessions() {
            return true;
        }
        if let Some(was_touched) = &mut ctx.doubt {
            *was_touched = true;
            return false;
        }
        if self.flush_at.is_none() {
            let at = ctx.now.monotonic.0.saturating_add(DELAY.0);
            self.flush_at = Some(Millis(at));
        }
        true
    }

    /// Handles the result of a write. If the write failed, the next write must include the activity. The session's
    /// count of activities is then set back, because another vault may store an activity first.
    pub(super) fn written(&mut self, ctx: &mut Context, ok: bool) {
        let was_counted = core::mem::take(&mut self.is_counted);
        if let Some(session) = ctx.session.as_mut().filter(|_| was_counted && !ok) {
            session.times.uncount_activity();
            self.is_new = true;
        }
    }
}
