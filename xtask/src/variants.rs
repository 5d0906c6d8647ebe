//! Rules of the core that the simulation's controls break, one at a time. The simulation must notice each broken rule
//! by the invariant that the rule protects. Every invariant has at least one such rule.
//!
//! A comment such as `// control: idle_limit` in `src` marks the statement, match arm or struct member below it.

use crate::controls::Break::{self, After, Always, Before, Condition, Instead, Never, Skip};

/// A broken rule.
pub(crate) struct Variant {
    /// The rule's name, which is also in the rule's marker.
    pub(crate) control: &'static str,
    /// The behavior of the core if the rule is broken.
    pub(crate) fault: &'static str,
    /// The invariant that notices the broken rule: see `tests/kit/src/world/invariants.rs`, or for
    /// [isolates](Variant::is_of_isolates) `tests/kit/isolates/invariants.rs`.
    pub(crate) noticed_by: &'static str,
    /// A life that notices the broken rule. It is tried before other lives; `cargo xtask simulate --controls --write` writes
    /// the lowest of these seeds.
    pub(crate) seed: u64,
    /// The change to the marked code.
    pub(crate) breaks: Break,
}

impl Variant {
    /// Returns true if the simulation of isolates must notice the change, and not the simulation of vaults.
    pub(crate) fn is_of_isolates(&self) -> bool {
        self.noticed_by.starts_with("isolates_")
    }
}

/// A broken rule that an order of a small world or a native test notices. No life of the simulation need notice it.
pub(crate) struct Planted {
    /// The rule's name, which is also in the rule's marker.
    pub(crate) control: &'static str,
    /// The behavior of the core if the rule is broken.
    pub(crate) fault: &'static str,
    pub(crate) noticed_by: Noticer,
    /// The change to the marked code.
    pub(crate) breaks: Break,
}

/// What notices a broken rule.
#[derive(Clone, Copy)]
pub(crate) enum Noticer {
    /// The orders of the world that these options of `cargo xtask explore` describe, by the rule of this name.
    Orders(&'static [&'static str], &'static str),
    /// A test of the package `strongroom-vault` or `strongroom-edge`.
    Test(&'static str, &'static str),
}

pub(crate) const PLANTED: &[Planted] = &[
    Planted {
        control: "lease_yields_to_another_intent",
        fault: "a lease is kept although the record has another isolate's intent",
        noticed_by: Noticer::Orders(&["--isolates", "--pauses", "1"], "isolates_yields"),
        breaks: Instead("false"),
    },
    Planted {
        control: "request_continues_with_the_record",
        fault: "after a conflict at the commit, a request continues with its own successor",
        noticed_by: Noticer::Orders(&["--isolates", "--pauses", "1"], "isolates_committed"),
        breaks: Before("if record.generation >= successor.generation { return Ok(successor); }"),
    },
    Planted {
        control: "late_write_keeps_newer_record",
        fault: "the answer to a late write replaces a newer cached record",
        noticed_by: Noticer::Orders(&["--isolates", "--logout"], "isolates_end_stays"),
        breaks: Instead("{ drop(ours); cached.stored.record = Some(record.clone()); }"),
    },
    Planted {
        control: "read_needs_the_tombstone",
        fault: "a read counts as complete although its tombstone could not be read",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "keeping_races::session_does_not_resume_while_its_tombstone_is_unreadable",
        ),
        breaks: Instead("Stored::Session(session)"),
    },
    Planted {
        control: "change_under_the_lock_is_read",
        fault: "a change that is announced while the vault has the lock is never read",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "keeping_races::logout_announced_during_a_write_is_read_afterwards",
        ),
        breaks: Never,
    },
    Planted {
        control: "announced_change_is_read",
        fault: "a vault with a session does not read what another vault has stored",
        noticed_by: Noticer::Orders(&["--vaults", "--login"], "signed_in"),
        breaks: Condition("!ctx.stores_sessions() || ctx.session.is_some()"),
    },
    Planted {
        control: "read_older_than_the_lock_is_old",
        fault: "a read without the lock counts although it is older than the lock",
        noticed_by: Noticer::Orders(&["--vaults", "--login"], "signed_in"),
        breaks: Skip,
    },
    Planted {
        control: "change_during_a_write_is_written",
        fault: "the lock is released although the end of a session is not written",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "keeping_writes::logout_during_a_write_is_written_next",
        ),
        breaks: Instead("true"),
    },
    Planted {
        control: "lost_store_is_not_a_known_end",
        fault: "a vault remembers an end after a loss of the store",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "known_ends::lost_store_is_not_a_known_end",
        ),
        breaks: Never,
    },
    Planted {
        control: "known_end_is_written_seldom",
        fault: "a vault writes an end again as often as a script puts the record back",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "known_ends::end_is_written_again_once_a_minute",
        ),
        breaks: Never,
    },
    Planted {
        control: "logout_ends_the_session_that_it_names",
        fault: "a repeated logout signs out the user who has signed in meanwhile",
        noticed_by: Noticer::Test(
            "strongroom-edge",
            "logout::logout_for_another_session_changes_nothing",
        ),
        breaks: Never,
    },
    Planted {
        control: "earlier_end_counts",
        fault: "a session that has ended reaches its limit, too",
        noticed_by: Noticer::Test(
            "strongroom-edge",
            "same_record::earlier_end_wins_over_a_limit",
        ),
        breaks: Never,
    },
    Planted {
        control: "unstored_login_survives",
        fault: "an older stored session replaces a login that is not stored yet",
        noticed_by: Noticer::Orders(&["--vaults", "--login"], "signed_in"),
        breaks: Instead("{ self.persistence.adopted_stored(); Merged::Replaced(theirs) }"),
    },
    Planted {
        control: "refusals_end_with_a_due_token",
        fault: "what an API has refused counts for all later tokens",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "unauthorized::refusal_says_nothing_about_a_token_that_was_due",
        ),
        breaks: Never,
    },
    Planted {
        control: "refusal_judges_the_next_token",
        fault: "two refusals with other tokens between them make a rule hopeless",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "unauthorized::refusal_of_a_later_token_does_not_make_a_rule_hopeless",
        ),
        breaks: Instead("true"),
    },
    Planted {
        control: "refusal_counts_until_a_due_token",
        fault: "a refusal counts for one token, so rules that refuse everything take turns with refreshes",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "unauthorized::eight_hopeless_rules_cause_one_refresh_each_for_a_token",
        ),
        breaks: Instead("true"),
    },
    Planted {
        control: "refusals_outlast_another_vaults_refresh",
        fault: "a vault forgets what APIs have refused when another vault refreshes the session",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "unauthorized::vaults_of_a_store_cause_no_storm_together",
        ),
        breaks: Instead("Refusals::default()"),
    },
    Planted {
        control: "rule_leaves_refreshes_to_others",
        fault: "one rule takes all refreshes that may begin because of a 401",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "unauthorized::one_rule_leaves_two_refreshes_to_others",
        ),
        breaks: Instead("true"),
    },
    Planted {
        control: "former_session_judges_no_token",
        fault: "a response to a call of a former session counts for a token of the current one",
        noticed_by: Noticer::Test(
            "strongroom-vault",
            "unauthorized::call_of_a_former_session_judges_no_token",
        ),
        breaks: Always,
    },
];

/// Rules of [`VARIANTS`] that every order of a small world notices, too, by a rule that only small worlds have.
pub(crate) const ALSO: &[(&str, Noticer)] = &[
    (
        "logout_is_stored",
        Noticer::Orders(&["--vaults", "--logout"], "signed_out"),
    ),
    (
        "waiting_calls_are_released",
        Noticer::Orders(&["--vaults"], "served"),
    ),
];

pub(crate) const VARIANTS: &[Variant] = &[
    Variant {
        control: "refusal_counts_for_its_rule",
        fault: "what one API has refused counts for all APIs",
        noticed_by: "recovery",
        seed: 32,
        breaks: Instead("0"),
    },
    Variant {
        control: "key_names_the_account",
        fault: "all accounts share a record, a lock and a channel",
        noticed_by: "own_account",
        seed: 1,
        breaks: Never,
    },
    Variant {
        control: "response_to_another_account_is_refused",
        fault: "a vault finishes a login of another account",
        noticed_by: "own_account",
        seed: 28,
        breaks: Never,
    },
    Variant {
        control: "limits_leave_the_grant_valid",
        fault: "a session at its limit is revoked although other accounts may have its grant",
        noticed_by: "own_account",
        seed: 28,
        breaks: Instead("token.filter(|_| reason.calls_for_revocation())"),
    },
    Variant {
        control: "logout_leaves_the_grant_valid",
        fault: "a logout revokes a grant that other accounts may have",
        noticed_by: "own_account",
        seed: 79,
        breaks: Instead("EndReason::LoggedOut"),
    },
    Variant {
        control: "stored_end_completes_logouts",
        fault: "a logout still waits for the store after its end was stored",
        noticed_by: "settled",
        seed: 10,
        breaks: Skip,
    },
    Variant {
        control: "known_end_is_refused",
        fault: "a copied record undoes an end that the vault has written",
        noticed_by: "end_stays",
        seed: 24,
        breaks: Never,
    },
    Variant {
        control: "unknown_successor_is_not_revoked",
        fault: "a logout says that it has revoked the tokens although a successor may be on its way",
        noticed_by: "revoked",
        seed: 45,
        breaks: Instead("logout.is_revoked = is_revoked;"),
    },
    Variant {
        control: "refresh_single_flight",
        fault: "refreshes are not single-flight",
        noticed_by: "single_flight",
        seed: 1,
        breaks: Instead("self.schedule.is_open(&ctx.now)"),
    },
    Variant {
        control: "rotated_token_is_replaced",
        fault: "the old refresh token is kept after a rotation",
        noticed_by: "consumed",
        seed: 1,
        breaks: Instead("kept.or(self.refresh_token.as_ref())"),
    },
    Variant {
        control: "lost_response_is_retried_soon",
        fault: "a lost response is not retried promptly",
        noticed_by: "needless_reuse",
        seed: 323,
        breaks: Instead("self.postpone(now, Millis(30_000));"),
    },
    Variant {
        control: "adoption_waits_for_persistence",
        fault: "new tokens are adopted before they are persisted",
        noticed_by: "persisted_first",
        seed: 4,
        breaks: After("return self.refresh.persisted(op);"),
    },
    Variant {
        control: "sign_out_elsewhere_ends_the_session",
        fault: "a session in memory survives a sign-out in another vault",
        noticed_by: "definite_verdict",
        seed: 366,
        breaks: Always,
    },
    Variant {
        control: "invalid_grant_is_final",
        fault: "invalid_grant is retried",
        noticed_by: "definite_verdict",
        seed: 7,
        breaks: Instead("transient(\"\")"),
    },
    Variant {
        control: "server_error_is_transient",
        fault: "a 5xx ends the session",
        noticed_by: "definite_verdict",
        seed: 18,
        breaks: Instead("RefreshOutcome::Ended"),
    },
    Variant {
        control: "unreadable_response_is_transient",
        fault: "an unreadable response ends the session",
        noticed_by: "definite_verdict",
        seed: 5,
        breaks: Instead("RefreshOutcome::Ended"),
    },
    Variant {
        control: "suspicion_takes_three_refusals",
        fault: "one refusal without a reason makes a session suspected",
        noticed_by: "suspicion",
        seed: 25,
        breaks: Always,
    },
    Variant {
        control: "gateway_page_is_no_refusal",
        fault: "a gateway's page counts as a refusal of the provider",
        noticed_by: "suspicion",
        seed: 25,
        breaks: Instead("RefreshOutcome::Unexplained(why)"),
    },
    Variant {
        control: "probe_bypasses_caches",
        fault: "a cached document counts as a response of the provider",
        noticed_by: "suspicion",
        seed: 18,
        breaks: Instead("with_query(&self.metadata_url, \"always\")"),
    },
    Variant {
        control: "hidden_refusals_raise_suspicion",
        fault: "hidden refusals never make a session suspected",
        noticed_by: "suspicion",
        seed: 57,
        breaks: Never,
    },
    Variant {
        control: "suspected_session_is_retried",
        fault: "a suspected session is not retried",
        noticed_by: "recovery",
        seed: 76,
        breaks: Instead("self.failed_at = Instant { monotonic: Millis::from_secs(1 << 40), wall: 1 << 60 };"),
    },
    Variant {
        control: "retry_after_is_honored",
        fault: "Retry-After is ignored",
        noticed_by: "provider_heeded",
        seed: 25,
        breaks: Instead("self.postpone(now, Millis(500));"),
    },
    Variant {
        control: "interaction_required_stops_refreshes",
        fault: "refreshes continue although the provider requires the user",
        noticed_by: "provider_heeded",
        seed: 62,
        breaks: Skip,
    },
    Variant {
        control: "id_token_signature_is_checked",
        fault: "the signature of an ID token is not checked",
        noticed_by: "validated_login",
        seed: 107,
        breaks: Never,
    },
    Variant {
        control: "refresh_keeps_the_named_user",
        fault: "a refresh may name another user, without OpenID Connect",
        noticed_by: "definite_verdict",
        seed: 594,
        breaks: Skip,
    },
    Variant {
        control: "idle_limit",
        fault: "there is no idle limit",
        noticed_by: "limits",
        seed: 3,
        breaks: Instead("None"),
    },
    Variant {
        control: "background_requests_are_not_activity",
        fault: "a poll in the background counts as activity",
        noticed_by: "limits",
        seed: 8,
        breaks: Condition("admitted.is_ok()"),
    },
    Variant {
        control: "absolute_limit_counts_sleep",
        fault: "the absolute limit does not count sleep",
        noticed_by: "limits",
        seed: 15,
        breaks: Condition("now.monotonic.saturating_sub(self.started.monotonic) >= maximum"),
    },
    Variant {
        control: "limits_apply_at_every_input",
        fault: "limits are checked only when a timer fires",
        noticed_by: "limits",
        seed: 5,
        breaks: Instead("if matches!(input, Input::Tick) { self.enforce_limits(); }"),
    },
    Variant {
        control: "expired_token_is_not_sent",
        fault: "an expired token is sent",
        noticed_by: "expired_token",
        seed: 1,
        breaks: Instead(
            "(self.tokens.refresh_token.is_some() || self.requested.elapsed(now) < self.lifetime())
                .then_some(&self.tokens.access_token)",
        ),
    },
    Variant {
        control: "waiting_calls_are_released",
        fault: "waiting calls are not released",
        noticed_by: "answered",
        seed: 2,
        breaks: Skip,
    },
    Variant {
        control: "response_belongs_to_its_call",
        fault: "a response is assigned to another call",
        noticed_by: "own_response",
        seed: 4,
        breaks: Instead("self.list.calls.iter().next()"),
    },
    Variant {
        control: "calls_of_former_user_are_rejected",
        fault: "calls of one user are sent with the token of the next",
        noticed_by: "own_response",
        seed: 150,
        breaks: Skip,
    },
    Variant {
        control: "refresh_takes_the_lock",
        fault: "a persisted session is refreshed without the lock",
        noticed_by: "under_lock",
        seed: 38,
        breaks: Instead("self.send_refresh(ctx)"),
    },
    Variant {
        control: "adoption_waits_for_the_store",
        fault: "new tokens are adopted before the store has them",
        noticed_by: "persisted_first",
        seed: 1,
        breaks: After("return self.refresh.persisted(op);"),
    },
    Variant {
        control: "store_is_read_before_refresh",
        fault: "the store is not read before a refresh",
        noticed_by: "consumed",
        seed: 2,
        breaks: Instead(
            "self.persistence.locked(ctx);
            ctx.cancel(Purpose::ReadLocked);
            self.persistence.hold_lock();
            return self.proceed(ctx);",
        ),
    },
    Variant {
        control: "newer_record_is_adopted",
        fault: "tokens that another vault refreshed are not adopted",
        noticed_by: "consumed",
        seed: 2,
        breaks: Always,
    },
    Variant {
        control: "lock_is_held_until_stored",
        fault: "the lock is released before the store has the successor",
        noticed_by: "consumed",
        seed: 57,
        breaks: Always,
    },
    Variant {
        control: "old_lock_sends_no_token",
        fault: "a vault that was frozen sends a refresh token under a lock that it has lost",
        noticed_by: "under_lock",
        seed: 19753,
        breaks: Instead("false"),
    },
    Variant {
        control: "overwritten_logout_is_found",
        fault: "a logout that did not wait for the lock is not noticed",
        noticed_by: "end_stays",
        seed: 305,
        breaks: Instead("Stored::Session(session)"),
    },
    Variant {
        control: "logout_is_stored",
        fault: "a logout is not stored",
        noticed_by: "consumed",
        seed: 25,
        breaks: Instead(
            "self.persistence.ended = None; return self.persistence.unlock(ctx);",
        ),
    },
    Variant {
        control: "activity_in_other_tabs_counts",
        fault: "a session idles out though the user is active in another tab",
        noticed_by: "limits",
        seed: 3,
        breaks: Always,
    },
    Variant {
        control: "api_gets_its_own_token",
        fault: "an API gets the login's token instead of its own",
        noticed_by: "own_token",
        seed: 11,
        breaks: Instead("session.latest_access_token_of(Default::default())"),
    },
    Variant {
        control: "open_responses_are_searched_for_new_tokens",
        fault: "a response that is open is not searched for the token that a refresh brings",
        noticed_by: "searched",
        seed: 5,
        breaks: Skip,
    },
    Variant {
        control: "proofs_are_unique",
        fault: "all proofs have the same ID",
        noticed_by: "proven",
        seed: 6,
        breaks: Skip,
    },
    Variant {
        control: "proof_matches_its_token",
        fault: "a proof is always for the login's token",
        noticed_by: "proven",
        seed: 21,
        breaks: Instead("session.latest_access_token_of(Default::default())"),
    },
    Variant {
        control: "provider_nonce_is_used",
        fault: "a nonce that a provider demands is not sent",
        noticed_by: "recovery",
        seed: 6,
        breaks: Instead("nonces.record(url, None);"),
    },
    Variant {
        control: "lost_key_ends_session",
        fault: "a session without its key continues",
        noticed_by: "definite_verdict",
        seed: 8956,
        breaks: Skip,
    },
    Variant {
        control: "every_page_is_notified",
        fault: "one page is not told of the session",
        noticed_by: "agreement",
        seed: 1,
        breaks: Instead(
            "for i in usize::from(self.ports.len() > 1)..self.ports.len() {
                self.post(self.ports[i], text.to_owned());
            }",
        ),
    },
    Variant {
        control: "errors_name_no_token",
        fault: "an error names the refresh token",
        noticed_by: "secrecy",
        seed: 18,
        breaks: Instead(
            "self.rejection = result.rejection().map(|error| {
                let token = ctx.session.as_ref().and_then(|s| s.refresh_token());
                Error::of(error.code(), &[token.map_or(\"\", Secret::expose)])
            });",
        ),
    },
    Variant {
        control: "rejected_client_is_retried",
        fault: "a client that was rejected once never tries again",
        noticed_by: "recovery",
        seed: 837,
        breaks: Instead("self.postpone(now, Millis::MAX);"),
    },
    Variant {
        control: "due_revocations_are_sent",
        fault: "a pending revocation stays pending",
        noticed_by: "sanity",
        seed: 3,
        breaks: Skip,
    },
    Variant {
        control: "refresh_yields_to_successor",
        fault: "a refresh is not abandoned when the successor exists",
        noticed_by: "isolates_consumed",
        seed: 1,
        breaks: Instead("Ok(None)"),
    },
    Variant {
        control: "uncommitted_successor_is_kept",
        fault: "a successor that could not be committed is forgotten",
        noticed_by: "isolates_consumed",
        seed: 870,
        breaks: Instead("false"),
    },
    Variant {
        control: "absent_record_is_read_again",
        fault: "a record that was absent before a change of session.storage counts as lost",
        noticed_by: "isolates_definite_end",
        seed: 1141,
        breaks: Never,
    },
    Variant {
        control: "foreign_intent_is_honored",
        fault: "the intent of another isolate is ignored",
        noticed_by: "isolates_single_flight",
        seed: 2,
        breaks: Always,
    },
    Variant {
        control: "late_intent_hides_no_holder",
        fault: "a flight's own intent that lands late ends its wait for another flight",
        noticed_by: "isolates_single_flight",
        seed: 2_211_308_055,
        breaks: Instead("false"),
    },
    Variant {
        control: "lost_intent_is_honored",
        fault: "an intent is ignored once the coordinator has lost it",
        noticed_by: "isolates_single_flight",
        seed: 194,
        breaks: Instead("second.filter(|_| false)"),
    },
    Variant {
        control: "holder_stops_first",
        fault: "a flight sends the refresh token although its lease may have expired",
        noticed_by: "isolates_single_flight",
        seed: 88,
        breaks: Instead("lease.is_some()"),
    },
    Variant {
        control: "times_are_the_coordinators",
        fault: "ages are differences of two machines' clocks",
        noticed_by: "isolates_definite_end",
        seed: 41,
        breaks: Before("if own.wall > 0 { return own; }"),
    },
    Variant {
        control: "clocks_have_a_tolerance",
        fault: "limits have no tolerance although the coordinator has no clock",
        noticed_by: "isolates_definite_end",
        seed: 7,
        breaks: Instead("Millis::ZERO"),
    },
    Variant {
        control: "unknown_time_ends_no_session",
        fault: "an isolate ends a session before it knows the coordinator's time",
        noticed_by: "isolates_definite_end",
        seed: 19,
        breaks: Always,
    },
    Variant {
        control: "replay_is_certain",
        fault: "a cookie is a copy by the clocks of two machines",
        noticed_by: "isolates_grace",
        seed: 174,
        breaks: Instead("age.saturating_sub(grace)"),
    },
    Variant {
        control: "refresh_outlives_its_request",
        fault: "a refresh stays half done when its request ends",
        noticed_by: "isolates_withdrawn",
        seed: 81,
        breaks: Before(
            "let _flight = crate::task::FlightGuard::begin(task.clone(), &session.sid); return boxed(rotate(task, session, &Cell::default())).await;",
        ),
    },
    Variant {
        control: "valid_token_survives_failed_refresh",
        fault: "a failed refresh fails the request although the access token is valid",
        noticed_by: "isolates_serves",
        seed: 1,
        breaks: Before("return refused;"),
    },
    Variant {
        control: "retry_after_is_sent",
        fault: "the response lacks Retry-After",
        noticed_by: "isolates_later",
        seed: 1,
        breaks: Skip,
    },
    Variant {
        control: "wait_applies_to_all_sessions",
        fault: "Retry-After in a 503 response limits only one session",
        noticed_by: "isolates_heeded",
        seed: 9732,
        breaks: Condition("is_other"),
    },
    Variant {
        control: "provider_failure_keeps_session",
        fault: "a failure of the provider ends the session",
        noticed_by: "isolates_definite_end",
        seed: 7,
        breaks: Instead("on_refused(task, session).await"),
    },
    Variant {
        control: "interaction_required_keeps_session",
        fault: "a session ends when the provider requires its user",
        noticed_by: "isolates_definite_end",
        seed: 40,
        breaks: Instead("on_refused(task, session).await"),
    },
    Variant {
        control: "former_keys_still_open",
        fault: "only the newest key can open cookies",
        noticed_by: "isolates_definite_end",
        seed: 17,
        breaks: Instead("self.0.iter().position(|key| key.id == id).filter(|at| *at == 0)"),
    },
    Variant {
        control: "cookie_outlives_temporary_failures",
        fault: "a 503 response deletes the cookie",
        noticed_by: "isolates_definite_end",
        seed: 1,
        breaks: Always,
    },
    Variant {
        control: "grace_period",
        fault: "there is no grace period",
        noticed_by: "isolates_grace",
        seed: 68,
        breaks: Instead("return Copied::Yes;"),
    },
    Variant {
        control: "late_request_is_no_copy",
        fault: "a request that waited for a process that stood still counts as a copy",
        noticed_by: "isolates_grace",
        seed: 82,
        breaks: Instead("if over == Millis::ZERO { Copied::No } else { Copied::Yes }"),
    },
    Variant {
        control: "unpresented_cookies_replace_nothing",
        fault: "a cookie is replaced by one that was never presented",
        noticed_by: "isolates_grace",
        seed: 16,
        breaks: Instead(
            "record.replaced_by(presented.generation).or(Some(crate::session::record::Presented { generation: u64::MAX, at: record.committed_at }))",
        ),
    },
    Variant {
        control: "replayed_cookie_ends_session",
        fault: "a replayed cookie gets the successor",
        noticed_by: "isolates_replay",
        seed: 108,
        breaks: Instead("Ok(record.session.clone().unwrap_or(presented))"),
    },
    Variant {
        control: "presented_cookies_are_recorded",
        fault: "presented cookies are not recorded",
        noticed_by: "isolates_replay",
        seed: 108,
        breaks: Instead("None"),
    },
    Variant {
        control: "coordinator_is_asked_again",
        fault: "a session's record is read only once",
        noticed_by: "isolates_owner",
        seed: 1,
        breaks: Instead("self.is_coordinator_up(now) && checked.is_none()"),
    },
    Variant {
        control: "back_channel_logout_is_found",
        fault: "the provider's end of a session is not noticed",
        noticed_by: "isolates_end_stays",
        seed: 4,
        breaks: Instead("FoundEnd::default()"),
    },
    Variant {
        control: "end_is_written",
        fault: "an end is not written",
        noticed_by: "isolates_refused",
        seed: 1,
        breaks: Condition("Ok(version.or(Some(\"\".to_owned())))"),
    },
    Variant {
        control: "wait_for_refresh_is_limited",
        fault: "a request waits for minutes for a refresh",
        noticed_by: "isolates_answered",
        seed: 1,
        breaks: Before("task.pause(Millis::from_secs(300)).await;"),
    },
    Variant {
        control: "events_name_no_token",
        fault: "an event names the access token",
        noticed_by: "isolates_secrecy",
        seed: 7,
        breaks: Instead(
            "task.fault_of(Code::ProviderUnavailable, &[session.access_token.expose()]);",
        ),
    },
    Variant {
        control: "end_is_reported_once",
        fault: "each request that sees the end of a session reports it",
        noticed_by: "isolates_told",
        seed: 84,
        breaks: Instead("is_written = true; break;"),
    },
    Variant {
        control: "end_of_another_request_counts",
        fault: "two requests report one end while the coordinator is down",
        noticed_by: "isolates_told",
        seed: 45,
        breaks: Instead("false"),
    },
    Variant {
        control: "finished_refresh_is_not_awaited",
        fault: "requests wait for a completed refresh",
        noticed_by: "isolates_recovery",
        seed: 1,
        breaks: Instead(
            "for one in &mut self.flights {
                one.last_step = Rc::new(Cell::new(Instant { monotonic: Millis::MAX, wall: u64::MAX }));
            }",
        ),
    },
    Variant {
        control: "isolate_refreshes_many_sessions",
        fault: "an isolate cannot handle a second session",
        noticed_by: "isolates_sanity",
        seed: 1,
        breaks: Before("assert!(self.flights.is_empty(), \"one flight at a time\");"),
    },
    Variant {
        control: "valid_token_does_not_wait",
        fault: "a request with a valid token waits for another's refresh",
        noticed_by: "isolates_prompt",
        seed: 8,
        breaks: Never,
    },
    Variant {
        control: "expired_successor_is_refreshed",
        fault: "a successor is used although it has expired",
        noticed_by: "isolates_expired",
        seed: 119,
        breaks: Always,
    },
    Variant {
        control: "failed_refresh_withdraws_intent",
        fault: "a failed refresh leaves its intent",
        noticed_by: "isolates_withdrawn",
        seed: 16,
        breaks: Skip,
    },
    Variant {
        control: "lease_is_renewed",
        fault: "a lease is not renewed",
        noticed_by: "isolates_single_flight",
        seed: 39,
        breaks: Skip,
    },
    Variant {
        control: "refused_token_ends_session",
        fault: "a rejected refresh token does not end its session",
        noticed_by: "isolates_refused",
        seed: 79,
        breaks: Skip,
    },
    Variant {
        control: "commit_survives_other_writes",
        fault: "a commit is abandoned after a conflicting write",
        noticed_by: "isolates_withdrawn",
        seed: 123,
        breaks: Before(
            "record_store::cache_unwritten(task, &successor, next_record(task, before.as_deref(), &successor));
            return Ok(successor);",
        ),
    },
    Variant {
        control: "bound_cookie_is_verified",
        fault: "any bound cookie of a bound session is accepted",
        noticed_by: "isolates_copied",
        seed: 18,
        breaks: Instead("value.is_some()"),
    },
    Variant {
        control: "bound_cookie_expires",
        fault: "a bound cookie is valid without end",
        noticed_by: "isolates_copied",
        seed: 18,
        breaks: Instead("json::parse_u64(seconds).is_some()"),
    },
    Variant {
        control: "replaced_cookie_keeps_bound_session",
        fault: "a copy of a replaced cookie ends a bound session",
        noticed_by: "isolates_copied",
        seed: 225,
        breaks: Never,
    },
    Variant {
        control: "logout_needs_the_bound_cookie",
        fault: "a copy of a bound session's cookie can end the session",
        noticed_by: "isolates_copied",
        seed: 527,
        breaks: Instead("None::<Refusal>"),
    },
    Variant {
        control: "later_binding_counts",
        fault: "a request is served although its isolate has read that the session is bound",
        noticed_by: "isolates_copied",
        seed: 9876,
        breaks: Never,
    },
    Variant {
        control: "logout_reads_the_binding",
        fault: "a copy ends a bound session if its first read of the record fails",
        noticed_by: "isolates_copied",
        seed: 569,
        breaks: Never,
    },
    Variant {
        control: "required_refuses_unbound_session",
        fault: "a session that must be bound by now is served although it is not",
        noticed_by: "isolates_copied",
        seed: 323,
        breaks: Never,
    },
    Variant {
        control: "requests_in_flight_pass",
        fault: "requests that were in flight when their session was bound are refused",
        noticed_by: "isolates_owner",
        seed: 8,
        breaks: Instead("has_bound_cookie(task, session, &binding)"),
    },
    Variant {
        control: "bound_cookie_needs_a_signature",
        fault: "a signed challenge gets another challenge",
        noticed_by: "isolates_owner",
        seed: 1,
        breaks: Instead("(response::empty(403), CHALLENGE_LIFE)"),
    },
    Variant {
        control: "second_key_ends_session",
        fault: "a second key does not end its session",
        noticed_by: "isolates_binding",
        seed: 70,
        breaks: Never,
    },
    Variant {
        control: "successor_stays_bound",
        fault: "a refresh by an isolate that did not know of the binding loses it",
        noticed_by: "isolates_binding",
        seed: 2100,
        breaks: Instead("successor.bound.as_ref()"),
    },
    Variant {
        control: "refresh_waits_for_quiet",
        fault: "a refresh token leaves at once after sleep",
        noticed_by: "unproven",
        seed: 2,
        breaks: Instead("ProofStep::Send"),
    },
    Variant {
        control: "refresh_token_waits_for_a_proof",
        fault: "a refresh token leaves after sleep without a proof that the line works",
        noticed_by: "unproven",
        seed: 2,
        breaks: Instead("ProofStep::Send"),
    },
    Variant {
        control: "sleep_is_a_doubt",
        fault: "sleep says nothing about the line",
        noticed_by: "unproven",
        seed: 5,
        breaks: Instead("false"),
    },
    Variant {
        control: "silent_origin_is_one_doubt",
        fault: "each failure of an API that is down is a new doubt about the line",
        noticed_by: "unproven",
        seed: 5,
        breaks: Never,
    },
];
