//! Activity of the user, which is persisted within fifteen seconds. No vault ends a session for lack of activity before
//! it has read the store: the user may have been active in another tab.

use crate::base::clock::Millis;
use crate::vault::context::Context;

/// Longest time before activity is persisted.
const DELAY: Millis = Millis::from_secs(15);

/// The activity in this vault.
#[derive(Default)]
pub(in crate::vault) struct Activity {
    /// The latest time at which the activity is persisted.
    pub(in crate::vault) flush_at: Option<Millis>,
    /// True if there is activity to persist.
    pub(in crate::vault) is_new: bool,
    /// True if the write in flight includes this activity.
    pub(in crate::vault) is_counted: bool,
}

impl Activity {
    /// Forgets the activity in a session that was replaced.
    pub(in crate::vault) fn forget(&mut self, ctx: &mut Context) {
        self.is_counted = false;
        ctx.doubt = None;
    }

    /// Records that the user did something. Returns true if that counts already.
    pub(super) const fn record(&mut self, ctx: &mut Context) -> bool {
        if !ctx.keeps() {
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

    /// Handles the end of a write: activity was persisted with the session, or was not, and other vaults may persist
    /// theirs before.
    pub(super) fn written(&mut self, ctx: &mut Context, ok: bool) {
        let was_counted = core::mem::take(&mut self.is_counted);
        if let Some(session) = ctx.session.as_mut().filter(|_| was_counted && !ok) {
            session.times.uncount_activity();
            self.is_new = true;
        }
    }
}
