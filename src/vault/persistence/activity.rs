//! Activity of the user is kept within fifteen seconds, and no vault ends a session for want of activity
//! before it has looked into the store: the user may have been active in another tab.

use crate::base::clock::Millis;
use crate::session::EndReason;
use crate::vault::context::Context;
use crate::vault::persistence::Persistence;
use crate::vault::persistence::lock::Lock;

/// Activity of the user is kept so long after it happened, unless something else is kept before.
const DELAY: Millis = Millis::from_secs(15);

/// The activity in this vault.
#[derive(Default)]
pub(super) struct Activity {
    /// The latest time at which it is persisted.
    pub(super) flush_at: Option<Millis>,
    /// There is some to be kept.
    pub(super) is_new: bool,
    /// The write that is under way counts it.
    pub(super) is_counted: bool,
}

impl Activity {
    /// Forgets the activity in a session that was replaced.
    pub(super) fn forget(&mut self, ctx: &mut Context) {
        self.is_counted = false;
        ctx.doubt = None;
    }
}

impl Persistence {
    /// Returns true if the end of the session must wait for a read of the store.
    pub(in crate::vault) fn doubts(&mut self, ctx: &mut Context, reason: EndReason) -> bool {
        // Under the lock, once the store was read, nobody else can know of anything later.
        let knows_all = matches!(self.lock, Lock::Held | Lock::Writing(_));
        // control: activity_in_other_tabs_counts
        if !ctx.keeps() || reason != EndReason::Idle || !self.is_known || knows_all {
            return false;
        }
        ctx.doubt.get_or_insert(false);
        if !matches!(self.lock, Lock::Reading(_)) {
            self.look(ctx);
        }
        true
    }

    /// Returns true if a read of the store will show if the session is still alive.
    pub(in crate::vault) const fn awaits_verdict(&self, ctx: &Context) -> bool {
        let is_looking = self.looks.is_reading() || matches!(self.lock, Lock::Reading(_));
        ctx.is_in_doubt() && is_looking
    }

    /// Records that the user did something. Returns true if that counts already.
    pub(in crate::vault) const fn record_activity(&mut self, ctx: &mut Context) -> bool {
        if !ctx.keeps() {
            return true;
        }
        if let Some(was_touched) = &mut ctx.doubt {
            *was_touched = true;
            return false;
        }
        if self.activity.flush_at.is_none() {
            let at = ctx.now.monotonic.0.saturating_add(DELAY.0);
            self.activity.flush_at = Some(Millis(at));
        }
        true
    }

    /// Activity was kept with the session, or could not be and others may count theirs before.
    pub(super) fn activity_written(&mut self, ctx: &mut Context, ok: bool) {
        let was_counted = core::mem::take(&mut self.activity.is_counted);
        if let Some(session) = ctx.session.as_mut().filter(|_| was_counted && !ok) {
            session.uncount_activity();
            self.activity.is_new = true;
        }
    }

    pub(super) fn flush_activity(&mut self, ctx: &Context) {
        if self.activity.flush_at.take().is_some() && ctx.session.is_some() {
            self.activity.is_new = true;
            self.wants += 1;
            self.wants_save = true;
        }
    }
}
