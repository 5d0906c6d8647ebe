//! Rules of the core, broken one at a time: the simulation must notice each, by the invariant that
//! the rule is for. Every invariant has at least one.

/// A broken rule.
pub(crate) struct Variant {
    /// What it does wrong.
    pub(crate) name: &'static str,
    /// The invariant that notices: see `tests/kit/src/world/invariants.rs`, and for those of [isolates](Variant::is_of_isolates)
    /// `tests/kit/src/isolates/invariants.rs`.
    pub(crate) noticed_by: &'static str,
    /// Below `src`.
    pub(crate) file: &'static str,
    /// What stands there, exactly once.
    pub(crate) find: &'static str,
    /// What stands there instead. `BROKEN` is true if the rule is to be broken, and otherwise the text
    /// must mean what the other does.
    pub(crate) replace: &'static str,
}

impl Variant {
    /// Whether isolates notice, and not vaults.
    pub(crate) fn is_of_isolates(&self) -> bool {
        self.noticed_by.starts_with("isolates_")
    }
}

pub(crate) const VARIANTS: &[Variant] = &[
    Variant {
        name: "refreshes are not single-flight",
        noticed_by: "single_flight",
        file: "vault/refresh.rs",
        find: "let may_start = !self.is_in_flight()",
        replace: "let may_start = (BROKEN || !self.is_in_flight())",
    },
    Variant {
        name: "the old refresh token is kept after a rotation",
        noticed_by: "consumed",
        file: "session.rs",
        find: "if self.tokens.refresh_token.is_none() {",
        replace: "if BROKEN || self.tokens.refresh_token.is_none() {",
    },
    Variant {
        name: "a lost answer is not retried promptly",
        noticed_by: "needless_reuse",
        file: "oauth/refresh_policy.rs",
        find: "self.postpone(now, Millis(delay));",
        replace: "self.postpone(now, Millis(if BROKEN { 30_000 } else { delay }));",
    },
    Variant {
        name: "new tokens are adopted before they are persisted",
        noticed_by: "persisted_first",
        file: "vault.rs",
        find: "            None => self.ctx.outputs.push(Output::Persist {
                op,
                state: None,
                expires_at: 0,
                #[cfg(feature = \"extended\")]
                key_pair: None,
            }),
        }",
        replace: "            None => self.ctx.outputs.push(Output::Persist {
                op,
                state: None,
                expires_at: 0,
                #[cfg(feature = \"extended\")]
                key_pair: None,
            }),
        }
        if BROKEN { self.refresh_persisted(op, true); }",
    },
    Variant {
        name: "invalid_grant is retried",
        noticed_by: "definite_verdict",
        file: "oauth/refresh_policy.rs",
        find: "\"invalid_grant\" => RefreshOutcome::Ended,",
        replace: "\"invalid_grant\" if BROKEN => RefreshOutcome::Transient(\"\"),
            \"invalid_grant\" => RefreshOutcome::Ended,",
    },
    Variant {
        name: "a 5xx ends the session",
        noticed_by: "definite_verdict",
        file: "oauth/refresh_policy.rs",
        find: "TokenResponse::ServerError => RefreshOutcome::Transient(",
        replace: "TokenResponse::ServerError if BROKEN => RefreshOutcome::Ended,
            TokenResponse::ServerError => RefreshOutcome::Transient(",
    },
    Variant {
        name: "an unreadable answer ends the session",
        noticed_by: "definite_verdict",
        file: "oauth/refresh_policy.rs",
        find: "TokenResponse::Unusable(why) => RefreshOutcome::Transient(why),",
        replace: "TokenResponse::Unusable(_) if BROKEN => RefreshOutcome::Ended,
            TokenResponse::Unusable(why) => RefreshOutcome::Transient(why),",
    },
    Variant {
        name: "one refusal without a reason makes a session suspected",
        noticed_by: "suspicion",
        file: "oauth/refresh_policy.rs",
        find: "if self.refusals >= MIN_REFUSALS {",
        replace: "if BROKEN || self.refusals >= MIN_REFUSALS {",
    },
    Variant {
        name: "a cached document shows that the provider can be reached",
        noticed_by: "suspicion",
        file: "vault/provider.rs",
        find: "metadata_url, &nonce);",
        replace: "metadata_url, if BROKEN { \"always\" } else { &nonce });",
    },
    Variant {
        name: "hidden refusals never make a session suspected",
        noticed_by: "suspicion",
        file: "oauth/refresh_policy.rs",
        find: "if self.hidden >= MIN_HIDDEN",
        replace: "if !BROKEN && self.hidden >= MIN_HIDDEN",
    },
    Variant {
        name: "a suspected session is not tried again",
        noticed_by: "recovery",
        file: "oauth/refresh_policy.rs",
        find: "self.wait = wait.max(SUSPECTED_DELAY);",
        replace: "self.wait = if BROKEN { Millis::from_secs(1 << 20) } else { wait.max(SUSPECTED_DELAY) };",
    },
    Variant {
        name: "Retry-After is not waited for",
        noticed_by: "provider_heeded",
        file: "oauth/refresh_policy.rs",
        find: "wait.clamp(Millis::from_secs(1), LONGEST_WAIT)",
        replace: "if BROKEN { Millis(500) } else { wait.clamp(Millis::from_secs(1), LONGEST_WAIT) }",
    },
    Variant {
        name: "refreshes go on though the provider wants the user",
        noticed_by: "provider_heeded",
        file: "vault/refresh.rs",
        find: "session.require_interaction();",
        replace: "if !BROKEN { session.require_interaction(); }",
    },
    Variant {
        name: "the signature of an ID token is not looked at",
        noticed_by: "validated_login",
        file: "oauth/id_token.rs",
        find: "if !valid {",
        replace: "if !valid && !BROKEN {",
    },
    Variant {
        name: "there is no idle limit",
        noticed_by: "limits",
        file: "session.rs",
        find: "} else if self.last_activity.elapsed(now) >= limits.idle {",
        replace: "} else if !BROKEN && self.last_activity.elapsed(now) >= limits.idle {",
    },
    Variant {
        name: "a poll in the background counts as activity",
        noticed_by: "limits",
        file: "vault.rs",
        find: "if !request.background && admitted.is_ok() {",
        replace: "if (BROKEN || !request.background) && admitted.is_ok() {",
    },
    Variant {
        name: "the absolute limit does not count sleep",
        noticed_by: "limits",
        file: "session.rs",
        find: "if self.started.elapsed(now) >= limits.absolute {",
        replace: "let since_start = if BROKEN {
            now.monotonic.saturating_sub(self.started.monotonic)
        } else {
            self.started.elapsed(now)
        };
        if since_start >= limits.absolute {",
    },
    Variant {
        name: "limits are looked at when a timer fires",
        noticed_by: "limits",
        file: "vault.rs",
        find: "self.enforce_limits();",
        replace: "if !BROKEN || matches!(input, Input::Tick) { self.enforce_limits(); }",
    },
    Variant {
        name: "an expired token is sent",
        noticed_by: "expired_token",
        file: "session.rs",
        find: "(self.requested.elapsed(now) < self.lifetime())",
        replace: "(BROKEN && self.tokens.refresh_token.is_some()
            || self.requested.elapsed(now) < self.lifetime())",
    },
    Variant {
        name: "calls that wait are not released",
        noticed_by: "settles",
        file: "vault.rs",
        find: "RefreshStep::Adopted => {
                    self.release_calls();",
        replace: "RefreshStep::Adopted => {
                    if !BROKEN { self.release_calls(); }",
    },
    Variant {
        name: "an answer is taken for that of another call",
        noticed_by: "own_answer",
        file: "vault/api_calls.rs",
        find: "let Some(known) = self.list.iter().find(|c| c.call == call) else {",
        replace: "let Some(known) = self.list.iter().find(|c| BROKEN || c.call == call) else {",
    },
    Variant {
        name: "calls of one user go out with the token of the next",
        noticed_by: "own_answer",
        file: "vault/persistence/merge.rs",
        find: "self.calls
                .give_up_all(&mut self.ctx, &mut self.dpop, Waiters::SessionEnded, &error);
            detached",
        replace: "if !BROKEN {
            self.calls
                .give_up_all(&mut self.ctx, &mut self.dpop, Waiters::SessionEnded, &error);
            }
            detached",
    },
    Variant {
        name: "a kept session is refreshed without the lock",
        noticed_by: "under_lock",
        file: "vault.rs",
        find: "RefreshStart::Lock => self.want_lock(),",
        replace: "RefreshStart::Lock if BROKEN => self.send_refresh(),
            RefreshStart::Lock => self.want_lock(),",
    },
    Variant {
        name: "new tokens are adopted before the store has them",
        noticed_by: "persisted_first",
        file: "vault.rs",
        find: "self.keep(op, state);",
        replace: "self.keep(op, state);
                if BROKEN { return self.refresh.persisted(op); }",
    },
    Variant {
        name: "the store is not looked at before a refresh",
        noticed_by: "consumed",
        file: "vault/persistence/lock.rs",
        find: "self.load(Purpose::Read);",
        replace: "if BROKEN {
            self.keeper.lock = Lock::Held;
            return self.proceed();
        }
        self.load(Purpose::Read);",
    },
    Variant {
        name: "what another vault renewed is not taken up",
        noticed_by: "consumed",
        file: "vault/persistence/merge.rs",
        find: "if theirs.generation() <= ours.generation() {",
        replace: "if BROKEN || theirs.generation() <= ours.generation() {",
    },
    Variant {
        name: "the lock is given back before the store has the successor",
        noticed_by: "consumed",
        file: "vault/persistence/lock.rs",
        find: "if !self.keeper.is_behind && self.keeper.ended.is_none() {",
        replace: "if BROKEN || (!self.keeper.is_behind && self.keeper.ended.is_none()) {",
    },
    Variant {
        name: "a logout that did not wait for the lock is not looked for",
        noticed_by: "end_stays",
        file: "vault/persistence/reader.rs",
        find: "Taken::Found(_) | Taken::Used => Stored::Overwritten(session),",
        replace: "Taken::Found(_) | Taken::Used if BROKEN => Stored::Session(session),
            Taken::Found(_) | Taken::Used => Stored::Overwritten(session),",
    },
    Variant {
        name: "a logout is not stored",
        noticed_by: "consumed",
        file: "vault/persistence/lock.rs",
        find: "return self.write(ended);",
        replace: "if BROKEN {
                self.keeper.ended = None;
                return self.unlock();
            }
            return self.write(ended);",
    },
    Variant {
        name: "a session idles out though the user is active in another tab",
        noticed_by: "limits",
        file: "vault/persistence/activity.rs",
        find: "|| knows_all {",
        replace: "|| knows_all || BROKEN {",
    },
    Variant {
        name: "an API gets the login's token instead of its own",
        noticed_by: "own_token",
        file: "vault/api_calls.rs",
        find: "let Some(token) = session.latest_access_token_of(which) else {",
        replace: "let which = if BROKEN { None } else { which };
        let Some(token) = session.latest_access_token_of(which) else {",
    },
    Variant {
        name: "proofs are all of one number",
        noticed_by: "proven",
        file: "vault/dpop.rs",
        find: "ctx.entropy.fill(&mut jti);",
        replace: "if !BROKEN { ctx.entropy.fill(&mut jti); }",
    },
    Variant {
        name: "a proof is of the login's token, whichever is sent",
        noticed_by: "proven",
        file: "vault/dpop.rs",
        find: "access_token: session.latest_access_token_of(allowed.token_selector()),",
        replace: "access_token: session.latest_access_token_of(
                    allowed.token_selector().filter(|_| !BROKEN)
                ),",
    },
    Variant {
        name: "the nonce that a provider asks for is not given",
        noticed_by: "recovery",
        file: "vault/dpop.rs",
        find: ".record(url, reply.dpop_nonce.as_deref());",
        replace: ".record(url, reply.dpop_nonce.as_deref().filter(|_| !BROKEN));",
    },
    Variant {
        name: "a session whose key is gone goes on",
        noticed_by: "definite_verdict",
        file: "vault.rs",
        find: "self.end_session(EndReason::StorageLost);",
        replace: "if !BROKEN { self.end_session(EndReason::StorageLost); }",
    },
    Variant {
        name: "one page is not told of the session",
        noticed_by: "agreement",
        file: "vault/context.rs",
        find: "for i in 0..self.ports.len() {",
        replace: "for i in usize::from(BROKEN && self.ports.len() > 1)..self.ports.len() {",
    },
    Variant {
        name: "an error names the refresh token",
        noticed_by: "secrecy",
        file: "vault/refresh.rs",
        find: "let message = [msg!(\"the token endpoint answered \"), &code];",
        replace: "let session = self.ctx.session.as_ref().filter(|_| BROKEN);
            let secret = session.and_then(|s| s.refresh_token()).map_or(\"\", Secret::expose);
            let message = [msg!(\"the token endpoint answered \"), &code, secret];",
    },
    Variant {
        name: "a client that was rejected once never tries again",
        noticed_by: "recovery",
        file: "oauth/refresh_policy.rs",
        find: "self.postpone(now, LONGEST_DELAY);",
        replace: "self.postpone(now, if BROKEN { Millis::MAX } else { LONGEST_DELAY });",
    },
    Variant {
        name: "a revocation that is due stays so",
        noticed_by: "sanity",
        file: "vault/session_end/revocation.rs",
        find: "let is_due = |r: &Revocation| matches!(",
        replace: "let is_due = |r: &Revocation| !BROKEN && matches!(",
    },
    Variant {
        name: "a refresh is not given up though the successor is there",
        noticed_by: "isolates_consumed",
        file: "edge/refresh.rs",
        find: "Ok(Some(found).filter(|found| found.generation > session.generation))",
        replace: "Ok(Some(found).filter(|found| !BROKEN && found.generation > session.generation))",
    },
    Variant {
        name: "a successor that could not be committed is forgotten",
        noticed_by: "isolates_serves",
        file: "edge/coordinator.rs",
        find: "        Some(theirs) if theirs.ended.is_some() => false,",
        replace: "        _ if BROKEN => false,
        Some(theirs) if theirs.ended.is_some() => false,",
    },
    Variant {
        name: "the intent of another isolate is not heeded",
        noticed_by: "isolates_single_flight",
        file: "edge/refresh.rs",
        find: "let intent = record.intent_at(&now);",
        replace: "let intent = record.intent_at(&now).filter(|_| !BROKEN);",
    },
    Variant {
        name: "a refresh is left half done when its request goes away",
        noticed_by: "isolates_withdrawn",
        file: "edge/task.rs",
        find: "self.is_abandoned = true;
        !self.is_unneeded()",
        replace: "self.is_abandoned = true;
        !self.is_unneeded() && !BROKEN",
    },
    Variant {
        name: "a refresh that fails fails the request though the access token is valid",
        noticed_by: "isolates_serves",
        file: "edge/refresh.rs",
        find: "        if session.is_valid(&self.now()) {
            return Ok(session);
        }
        // Another",
        replace: "        if BROKEN {
            return refused;
        }
        if session.is_valid(&self.now()) {
            return Ok(session);
        }
        // Another",
    },
    Variant {
        name: "nobody is told when to come back",
        noticed_by: "isolates_later",
        file: "edge/response.rs",
        find: "response.headers.push((\"retry-after\", seconds));",
        replace: "if !BROKEN {
        response.headers.push((\"retry-after\", seconds));
    }",
    },
    Variant {
        name: "a failure of the provider ends the session",
        noticed_by: "isolates_definite_end",
        file: "edge/refresh.rs",
        find: "            RefreshOutcome::Transient(why) => {
                self.fault_of(",
        replace: "            RefreshOutcome::Transient(_) if BROKEN => self.on_refused(session).await,
            RefreshOutcome::Transient(why) => {
                self.fault_of(",
    },
    Variant {
        name: "a session ends when the provider wants its user",
        noticed_by: "isolates_definite_end",
        file: "edge/refresh.rs",
        find: "            RefreshOutcome::InteractionRequired(_) => Err(Refusal::Interaction),",
        replace: "            RefreshOutcome::InteractionRequired(_) if BROKEN => self.on_refused(session).await,
            RefreshOutcome::InteractionRequired(_) => Err(Refusal::Interaction),",
    },
    Variant {
        name: "only the key opens that seals",
        noticed_by: "isolates_definite_end",
        file: "edge/session/keys.rs",
        find: "self.0.iter().position(|key| key.id == id)",
        replace: "self.0.iter().position(|key| key.id == id).filter(|at| !BROKEN || *at == 0)",
    },
    Variant {
        name: "who has to come back later loses the cookie",
        noticed_by: "isolates_definite_end",
        file: "edge/request.rs",
        find: "if matches!(refusal, Refusal::Ended(_)) {",
        replace: "if BROKEN || matches!(refusal, Refusal::Ended(_)) {",
    },
    Variant {
        name: "there is no grace period",
        noticed_by: "isolates_grace",
        file: "edge/session/record.rs",
        find: "if age.is_none_or(|age| age <= grace) {",
        replace: "if age.is_none_or(|age| !BROKEN && age <= grace) {",
    },
    Variant {
        name: "a cookie is replaced by one that was never presented",
        noticed_by: "isolates_grace",
        file: "edge/session/record.rs",
        find: "let replaced = self.replaced_at(presented.generation);",
        replace: "let replaced = self
                    .replaced_at(presented.generation)
                    .or(if BROKEN { Some(self.committed) } else { None });",
    },
    Variant {
        name: "a replayed cookie gets the successor",
        noticed_by: "isolates_replay",
        file: "edge/refresh.rs",
        find: "            GenerationStatus::Replayed => {",
        replace: "            GenerationStatus::Replayed if BROKEN => Ok(record.session.clone().unwrap_or(presented)),
            GenerationStatus::Replayed => {",
    },
    Variant {
        name: "nobody writes down which cookies were presented",
        noticed_by: "isolates_replay",
        file: "edge/refresh.rs",
        find: "let Some(noted) = noted.filter(|_| is_up) else {",
        replace: "let Some(noted) = noted.filter(|_| is_up && !BROKEN) else {",
    },
    Variant {
        name: "the coordinator is asked about a session once",
        noticed_by: "isolates_definite_end",
        file: "edge/session/cache.rs",
        find: "checked.is_none_or(|age| age >= recheck)",
        replace: "checked.is_none_or(|age| !BROKEN && age >= recheck)",
    },
    Variant {
        name: "the provider's word that a session is over is not looked for",
        noticed_by: "isolates_end_stays",
        file: "edge/coordinator.rs",
        find: "        if is_over {
            let over",
        replace: "        if is_over && !BROKEN {
            let over",
    },
    Variant {
        name: "an end is not written",
        noticed_by: "isolates_told",
        file: "edge/refresh.rs",
        find: "match self.write(&latest, version, &over).await {",
        replace: "let written = if BROKEN {
                Ok(version.or(Some(\"\".to_owned())))
            } else {
                self.write(&latest, version, &over).await
            };
            match written {",
    },
    Variant {
        name: "a refresh is tried again when nobody waits for it any more",
        noticed_by: "isolates_settles",
        file: "edge/refresh.rs",
        find: "            attempt += 1;
            self.pause(pause).await;",
        replace: "            attempt += 1;
            self.pause(if BROKEN { Millis::from_secs(300) } else { pause }).await;",
    },
    Variant {
        name: "an event names the access token",
        noticed_by: "isolates_secrecy",
        file: "edge/refresh.rs",
        find: "&[msg!(\"a refresh failed: \"), why],",
        replace: "&[msg!(\"a refresh failed: \"), why, if BROKEN { session.access_token.expose() } else { \"\" }],",
    },
    Variant {
        name: "the end of a session is told by everybody who meets it",
        noticed_by: "isolates_told",
        file: "edge/refresh.rs",
        find: "                    // Who has ended it has told.
                    return None;",
        replace: "                    // Who has ended it has told.
                    if !BROKEN {
                        return None;
                    }
                    is_written = true;
                    break;",
    },
    Variant {
        name: "a refresh that is over is waited for",
        noticed_by: "isolates_recovery",
        file: "edge/session/cache.rs",
        find: "self.flights.retain(|(_, known, _)| *known != flight);",
        replace: "for one in &mut self.flights {
            if BROKEN {
                one.2 = Rc::new(Cell::new(Instant { monotonic: Millis::MAX, wall: u64::MAX }));
            }
        }
        self.flights.retain(|(_, known, _)| BROKEN || *known != flight);",
    },
    Variant {
        name: "a second session is too much for an isolate",
        noticed_by: "isolates_sanity",
        file: "edge/session/cache.rs",
        find: "self.flights.push((sid.to_owned(), flight, last_step));",
        replace: "assert!(!BROKEN || self.flights.is_empty(), \"one flight at a time\");
        self.flights.push((sid.to_owned(), flight, last_step));",
    },
    Variant {
        name: "a request with a valid token waits for another's refresh",
        noticed_by: "isolates_prompt",
        file: "edge/refresh.rs",
        find: "            if session.is_valid(&now) {
                return Ok(session.clone());",
        replace: "            if !BROKEN && session.is_valid(&now) {
                return Ok(session.clone());",
    },
    Variant {
        name: "a successor is used although it has expired",
        noticed_by: "isolates_expired",
        file: "edge/refresh.rs",
        find: "            if renewed.is_valid(&self.now()) {",
        replace: "            if BROKEN || renewed.is_valid(&self.now()) {",
    },
    Variant {
        name: "a failed refresh leaves its intent",
        noticed_by: "isolates_withdrawn",
        file: "edge/refresh/lease.rs",
        find: "        self.write_lease(false).await;",
        replace: "        if !BROKEN {
            self.write_lease(false).await;
        }",
    },
    Variant {
        name: "a lease is not renewed",
        noticed_by: "isolates_single_flight",
        file: "edge/refresh/lease.rs",
        find: "        self.write_lease(true).await;",
        replace: "        if !BROKEN {
            self.write_lease(true).await;
        }",
    },
    Variant {
        name: "a refused refresh token does not end its session",
        noticed_by: "isolates_refused",
        file: "edge/refresh.rs",
        find: "        self.end(session, EndReason::ProviderEnded).await;",
        replace: "        if !BROKEN {
            self.end(session, EndReason::ProviderEnded).await;
        }",
    },
    Variant {
        name: "a commit is given up when somebody else has written",
        noticed_by: "isolates_withdrawn",
        file: "edge/refresh.rs",
        find: "                    (version, before) = (found, record);",
        replace: "                    if BROKEN {
                        self.cache_record(&successor, self.next_record(before.as_deref(), &successor));
                        return Ok(successor);
                    }
                    (version, before) = (found, record);",
    },
];
