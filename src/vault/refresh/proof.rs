//! The proof that the line works. After a doubt, a refresh token leaves only when the line has been quiet for some time and
//! a server has answered a request that began after the doubt.

use crate::context::Context;
use crate::line::MISSED_HEARTBEATS;
use crate::provider::Provider;
use rules::base::clock::{Instant, Millis};
use rules::session::Session;

/// The urgency of a refresh, which says how long it waits for a quiet line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// No user waits: the refresh is for a timer, a poll of the app, or a token that is still valid.
    Background,
    /// A user waits for the response to a call.
    User,
}

/// The time without a doubt after which the line is quiet enough for a refresh that no user waits for. The first value
/// applies to short access tokens, the second one to those that live for half an hour or longer.
const QUIET_IN_BACKGROUND: (Millis, Millis) = (Millis::from_secs(20), Millis::from_secs(30));
/// The time without a doubt after which the line is quiet enough for a user's call.
const QUIET_FOR_USER: (Millis, Millis) = (Millis::from_secs(3), Millis::from_secs(5));
/// The longest time for which a user's call waits for a quiet line, however often there is a new doubt.
const LONGEST_QUIET: Millis = Millis::from_secs(5);
/// The longest time that a refresh spends waiting for a quiet line if no user needs it.
const LONGEST_QUIET_IN_BACKGROUND: Millis = Millis::from_secs(60);
/// The longest leeway of usual providers. After a lost response, a repeat within this time does not wait for a quiet line.
const LONGEST_LEEWAY: Millis = Millis::from_secs(60);
/// The longest age of the response that proves the line, if a refresh token is repeated because its response was lost.
const PROOF_FOR_REPEAT: Millis = Millis::from_secs(2);
/// After this number of probes without a response since the last doubt, a refresh needs no probe if another server has
/// answered.
const MAX_UNANSWERED: u32 = 3;
/// If no response to a probe can be read for this time, although the device is online and there is no doubt, a refresh needs
/// no probe. Otherwise a gateway that blocks probes would stop all refreshes, because no API answers without a token. In an
/// outage, one refresh token is sent in this time.
const LONGEST_UNREADABLE: Millis = Millis::from_secs(300);

/// The next step of a refresh that waits to be sent.
pub(super) enum ProofStep {
    Send,
    /// The refresh waits until this time. A doubt may postpone it.
    WaitUntil(Millis),
    Probe,
}

/// The state of a refresh's wait for the proof.
#[derive(Default)]
pub(super) struct Proof {
    /// The time at which a response to the refresh token was last lost. The provider may have consumed the token, and a
    /// refusal that follows says nothing about that.
    lost_at: Option<Instant>,
    /// True if a call of a user waits for this refresh.
    is_awaited: bool,
    /// The time for which the refresh has waited for a quiet line while the device was awake. Calls of users begin at zero.
    waited: Millis,
    /// The time of the last input, if the refresh then waited for a quiet line.
    waits_since: Option<Millis>,
    /// The number of probes in a row that got no response since the last doubt, and the time at which the first of them
    /// ended.
    unanswered: (u32, Millis),
    /// The time since which no response to a probe could be read although the device is online.
    unreadable_since: Option<Millis>,
}

impl Proof {
    /// Returns the next step of a refresh that waits to be sent.
    pub(super) fn next_step(&self, ctx: &Context, provider: &Provider) -> ProofStep {
        let (line, now) = (&ctx.line, ctx.now.monotonic);
        let (unanswered, since) = self.unanswered;
        let is_long = |at: Millis| now.saturating_sub(at) >= LONGEST_UNREADABLE;
        let is_blocked = unanswered >= MAX_UNANSWERED
            && line.doubted() <= Some(since)
            && (line.has_answered_since(since) || self.unreadable_since.is_some_and(is_long));
        let needs_probe = provider.can_be_probed() && !is_blocked;
        if self.must_repeat_soon(&ctx.now) {
            // The token is at risk already, and a provider that accepts it again does so for a short time only.
            let is_proven = line.is_proven_within(PROOF_FOR_REPEAT, now);
            return match needs_probe && !is_proven {
                true => ProofStep::Probe,
                false => ProofStep::Send,
            };
        }
        match self.quiet_at(ctx) {
            // control: refresh_waits_for_quiet
            Some(at) if now < at => ProofStep::WaitUntil(at),
            // control: refresh_token_waits_for_a_proof
            _ if needs_probe && !line.is_proven() => ProofStep::Probe,
            _ => ProofStep::Send,
        }
    }

    /// Returns true if the refresh token may leave, now that the refresh has the lock.
    pub(super) fn may_send(&self, ctx: &Context, provider: &Provider) -> bool {
        self.must_repeat_soon(&ctx.now) || matches!(self.next_step(ctx, provider), ProofStep::Send)
    }

    /// Returns true if a response to the refresh token was lost a short time ago.
    fn must_repeat_soon(&self, now: &Instant) -> bool {
        let is_recent = |at: &Instant| at.elapsed(now) < LONGEST_LEEWAY;
        self.lost_at.as_ref().is_some_and(is_recent)
    }

    /// Returns true if the line is quiet enough for a refresh that no user waits for.
    pub(super) fn is_quiet(ctx: &Context) -> bool {
        let is_quiet = |since| since + quiet(ctx, QUIET_IN_BACKGROUND) <= ctx.now.monotonic;
        ctx.line.quiet_since().is_none_or(is_quiet)
    }

    /// Returns the time at which the line is quiet enough for this refresh, unless there is another doubt. Returns `None`
    /// if there was no doubt.
    fn quiet_at(&self, ctx: &Context) -> Option<Millis> {
        let (needed, longest) = match self.is_awaited {
            true => (QUIET_FOR_USER, LONGEST_QUIET),
            false => (QUIET_IN_BACKGROUND, LONGEST_QUIET_IN_BACKGROUND),
        };
        let left = longest.saturating_sub(self.waited);
        let quiet_at = ctx.line.quiet_since()? + quiet(ctx, needed);
        Some(quiet_at.min(ctx.now.monotonic + left))
    }

    /// Records the start of an attempt to refresh.
    pub(super) const fn begin(&mut self) {
        if !self.is_awaited {
            self.waited = Millis::ZERO;
        }
        self.waits_since = None;
    }

    /// Counts the time since the last input, if the refresh has waited for a quiet line since. Sleep does not count.
    pub(super) fn count_wait(&mut self, now: Millis) {
        let passed = self.waits_since.take().map(|at| now.saturating_sub(at));
        if let Some(passed) = passed.filter(|passed| *passed < MISSED_HEARTBEATS) {
            self.waited = self.waited + passed;
        }
    }

    /// Records that the refresh waits for a quiet line from now on.
    pub(super) const fn begin_wait(&mut self, now: Millis) {
        self.waits_since = Some(now);
    }

    /// Records that a call waits for this refresh.
    pub(super) fn await_for(&mut self, urgency: Urgency) {
        if urgency == Urgency::User && !self.is_awaited {
            self.is_awaited = true;
            self.waited = Millis::ZERO;
        }
    }

    /// Records that no call waits for this refresh any longer.
    pub(super) const fn calls_given_up(&mut self) {
        self.is_awaited = false;
    }

    /// Records the end of the request with the refresh token. `is_lost` is true if no response could be read.
    pub(super) const fn request_ended(&mut self, now: Instant, is_lost: bool) {
        if is_lost {
            self.lost_at = Some(now);
        }
        // In an outage, the next refresh token without a probe waits as long again.
        self.unreadable_since = None;
    }

    /// Returns true if a response to the refresh token was lost.
    pub(super) const fn has_lost_response(&self) -> bool {
        self.lost_at.is_some()
    }

    /// Records that the session has the successor.
    pub(super) const fn adopted(&mut self) {
        self.probe_answered();
        self.lost_at = None;
    }

    /// Records that a probe was answered.
    pub(super) const fn probe_answered(&mut self) {
        self.unanswered.0 = 0;
    }

    /// Records that a probe got no readable response. `is_unreadable` is true if the device was online.
    pub(super) fn probe_unanswered(&mut self, ctx: &Context, is_unreadable: bool) {
        let (unanswered, since) = &mut self.unanswered;
        // Probes that failed before the doubt say nothing about the line after it.
        if *unanswered == 0 || ctx.line.doubted() > Some(*since) {
            (*unanswered, *since) = (0, ctx.now.monotonic);
            self.unreadable_since = None;
        }
        *unanswered += 1;
        self.unreadable_since = match is_unreadable {
            true => self.unreadable_since.or(Some(ctx.now.monotonic)),
            false => None,
        };
    }
}

/// Returns the time that applies to the session's access token: the second one if the token lives long.
fn quiet(ctx: &Context, (short, long): (Millis, Millis)) -> Millis {
    let is_long = ctx.session.as_deref().is_some_and(Session::has_long_token);
    if is_long { long } else { short }
}
