//! The pending operations of vaults. Tests can delay, complete or lose them, and let the provider act before its
//! response arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::api::API;
use super::elapsed::Since;
use super::invariants::{Invariant, in_words};
use super::page::Request;
use super::provider::{Endpoint, form_of};
use super::sessions::Record;
use super::storage::Written;
use super::{Event, JobId, Kind, PROBE, PROMPT, REFRESH, World, api, dpop};
use rules::Secret;
use rules::base::clock::{Instant, UnixMillis};
use rules::base::http::{HttpRequest, Outcome};
use vault::{ApiRequest, CallId, Hint, Input, Loaded, News, OpId, Taken};

/// The operations of all vaults.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) pending: Vec<Job>,
    pub(super) last: JobId,
    /// The last job that [`World::new_jobs`] reported.
    pub(super) announced: JobId,
    /// Kinds whose responses are held back.
    pub(super) held: BTreeSet<Kind>,
    /// Kinds whose responses to one vault are held back.
    pub(super) held_in: Vec<(usize, Kind)>,
    /// Reads whose responses are held back.
    pub(super) delayed: BTreeSet<JobId>,
    /// Writes that reach the store although the vault canceled them.
    pub(super) landing_late: BTreeSet<JobId>,
    /// Refresh tokens that were sent to each endpoint.
    pub(super) sent: BTreeMap<Endpoint, Vec<String>>,
    /// The kind and time of each operation that a vault asked for.
    pub(super) moments: Vec<(Kind, Duration)>,
}

pub(super) struct Job {
    pub(super) id: JobId,
    /// The vault that made the request.
    pub(super) vault: usize,
    pub(super) kind: Kind,
    pub(super) asked_at: Instant,
    /// The time of the request by the provider's clock.
    pub(super) true_time: UnixMillis,
    /// The time at which the provider acted on the request.
    pub(super) acted_at: Option<Instant>,
    pub(super) task: Task,
    /// The provider's response, once the provider has acted.
    pub(super) outcome: Option<Outcome>,
    /// True if another vault had taken the lock over, and the vault did not know this at the time of the request, or does not
    /// know it yet.
    pub(super) is_overtaken: bool,
    /// True if no response will arrive.
    pub(super) is_silent: bool,
    /// The response comes from a service worker and not from the provider.
    pub(super) is_from_cache: bool,
    /// True if the vault made the request while it handled the response to a refresh. A probe then belongs to the
    /// refresh and not to a login.
    pub(super) is_after_refresh: bool,
}

/// The result of a read of the store.
pub(super) struct Read {
    pub(super) loaded: Loaded,
    /// The oracle's view of the record.
    pub(super) record: Option<Record>,
    pub(super) version: Option<u64>,
}

pub(super) enum Task {
    /// A request to the provider, with its DPoP proof if it has one.
    Send(OpId, HttpRequest, Option<String>),
    MakeKey(OpId),
    Store(OpId, String, Secret, Option<dpop::Named>, UnixMillis),
    Take(OpId, String),
    Verify {
        op: OpId,
        jwk: String,
        signing_input: Secret,
        signature: Vec<u8>,
    },
    /// A write of the session, with the versions of the stored session that it may replace.
    Persist(
        OpId,
        Option<(Secret, UnixMillis)>,
        Option<dpop::Named>,
        Vec<u64>,
    ),
    /// A read of the store, with its result if the store was already read. True if the vault has the lock.
    Load(OpId, Option<Read>, bool),
    Lock(OpId),
    LockLost,
    Changed,
    Hinted(Hint),
    /// A call of an API, with its DPoP proof if it has one. A call without its required proof is not sent.
    Call(CallId, Box<ApiRequest>, Option<String>),
    Probe(CallId),
    Socket(CallId),
    ResponseBody(CallId),
}

impl World {
    /// Returns the operations that vaults asked for since the last call of this function, and their kinds.
    pub fn new_jobs(&mut self) -> Vec<(JobId, Kind)> {
        let known = std::mem::replace(&mut self.jobs.announced, self.jobs.last);
        let is_new = |job: &&Job| job.id > known;
        let new = self.jobs.pending.iter().filter(is_new);
        new.map(|job| (job.id, job.kind)).collect()
    }

    pub(super) fn job(&mut self, kind: Kind, task: Task) {
        let is_overtaken = self.has_lost_lock(self.workers.turn);
        self.events.push(Event::Asked(kind));
        self.jobs.moments.push((kind, self.now.monotonic.into()));
        self.jobs.last += 1;
        self.jobs.pending.push(Job {
            id: self.jobs.last,
            vault: self.workers.turn,
            kind,
            asked_at: self.now,
            true_time: self.true_time,
            acted_at: None,
            task,
            outcome: None,
            is_silent: false,
            is_overtaken,
            is_from_cache: false,
            is_after_refresh: self.answers_refresh,
        });
    }

    /// Returns the vault of a job, or `None` if the job is no longer pending.
    pub fn vault_of(&self, id: JobId) -> Option<usize> {
        Some(self.jobs.pending[self.place_of(id)?].vault)
    }

    /// Returns the kind of a job, or `None` if the job is no longer pending.
    pub fn kind_of(&self, id: JobId) -> Option<Kind> {
        Some(self.jobs.pending[self.place_of(id)?].kind)
    }

    pub(super) fn place_of(&self, id: JobId) -> Option<usize> {
        self.jobs.pending.iter().position(|job| job.id == id)
    }

    /// Returns the number of pending operations of this kind.
    pub fn outstanding(&self, kind: Kind) -> usize {
        self.jobs
            .pending
            .iter()
            .filter(|job| job.kind == kind)
            .count()
    }

    /// Returns the number of operations of this kind that all vaults have asked for so far.
    pub fn count(&self, kind: Kind) -> usize {
        let is_it = |event: &&Event| **event == Event::Asked(kind);
        self.events.iter().filter(is_it).count()
    }

    /// Returns the times at which vaults asked for operations of this kind, relative to the first of these times.
    pub fn moments(&self, kind: Kind) -> Vec<Duration> {
        let moments = self.jobs.moments.iter().filter(|(k, _)| *k == kind);
        let moments: Vec<Duration> = moments.map(|(_, at)| *at).collect();
        moments.iter().map(|at| *at - moments[0]).collect()
    }

    /// Holds back the responses to these kinds.
    pub fn hold(&mut self, kinds: &[Kind]) {
        self.jobs.held.extend(kinds);
    }

    /// Ends `hold` and completes the waiting operations.
    pub fn release(&mut self) {
        self.jobs.held.clear();
        self.answer_all();
    }

    /// Holds back the responses of this kind to one vault.
    pub fn hold_in(&mut self, vault: usize, kind: Kind) {
        self.jobs.held_in.push((vault, kind));
    }

    /// Ends `hold_in` and `delay_pending_loads`, and completes the waiting operations.
    pub fn unhold(&mut self) {
        self.jobs.held_in.clear();
        self.jobs.delayed.clear();
        self.answer_all();
    }

    /// Ends `hold` for this kind, without completing an operation yet.
    pub fn unhold_kind(&mut self, kind: Kind) {
        self.jobs.held.remove(&kind);
    }

    /// Holds back the responses to the reads in flight, but not to later reads.
    pub fn delay_pending_loads(&mut self) {
        let loads = self
            .jobs
            .pending
            .iter()
            .filter(|job| job.kind == Kind::Load);
        self.jobs.delayed.extend(loads.map(|job| job.id));
    }

    pub(super) fn can_go(&self, job: &Job) -> bool {
        !self.is_locked_out(job)
            && !job.is_silent
            && !self.jobs.held.contains(&job.kind)
            && !self.jobs.held_in.contains(&(job.vault, job.kind))
            && !self.jobs.delayed.contains(&job.id)
            && !self.workers.frozen.contains(&job.vault)
    }

    /// Completes pending operations in order, and also the operations that the vaults then ask for. Operations that a
    /// test holds back stay pending.
    pub fn answer_all(&mut self) {
        let mut answered = 0;
        while let Some(i) = self.jobs.pending.iter().position(|job| self.can_go(job)) {
            self.answer_job(i);
            answered += 1;
            Invariant::Sanity.holds_if(answered < 100_000, || "the vault keeps asking".to_owned());
        }
    }

    /// Completes only the first pending operation of this kind.
    #[track_caller]
    pub fn answer_one(&mut self, kind: Kind) {
        let i = self.jobs.pending.iter().position(|job| job.kind == kind);
        self.answer_job(i.expect("no pending request of this kind"));
    }

    /// Delivers the API's response to this call, and completes no other operation.
    #[track_caller]
    pub fn answer_call(&mut self, request: Request) {
        let i = self.job_of_call(request);
        self.answer_job(i);
    }

    /// Fails this call with a network error.
    #[track_caller]
    pub fn fail_call(&mut self, request: Request) {
        let i = self.job_of_call(request);
        self.call_fails(i);
    }

    /// Lets the host report that the response to this call contains the token.
    #[track_caller]
    pub fn reflect_token(&mut self, request: Request) {
        let i = self.job_of_call(request);
        let job = self.jobs.pending.remove(i);
        self.workers.turn = job.vault;
        if let Task::Call(call, ..) = job.task {
            self.input(Input::CallReflected { call });
        }
    }

    /// Fails the handshake of a socket.
    pub fn refuse_socket(&mut self, request: Request) {
        let is_it = |job: &Job| matches!(&job.task, Task::Socket(call) if self.calls.requests.get(call) == Some(&request));
        let i = self
            .jobs
            .pending
            .iter()
            .position(is_it)
            .expect("it is in flight");
        let job = self.jobs.pending.remove(i);
        self.workers.turn = job.vault;
        self.ledger.answered(request);
        if let Task::Socket(call) = job.task {
            self.input(Input::CallClosed { call });
        }
    }

    #[track_caller]
    pub(super) fn job_of_call(&self, request: Request) -> usize {
        let is_it = |job: &Job| matches!(&job.task, Task::Call(call, ..) if self.calls.requests.get(call) == Some(&request));
        self.jobs
            .pending
            .iter()
            .position(is_it)
            .expect("the call is not in flight")
    }

    /// Lets the provider act on a request, unless the provider has already acted. The response remains in flight.
    pub fn provider_acts(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id)
            && matches!(self.jobs.pending[i].task, Task::Send(..))
            && self.jobs.pending[i].acted_at.is_none()
        {
            self.act_on(i);
        }
    }

    /// Delivers the response to an operation.
    pub fn answer_arrives(&mut self, id: JobId) {
        if let Some(i) = self.place_of(id) {
            self.answer_job(i);
        }
    }

    fn call_fails(&mut self, i: usize) {
        let job = self.jobs.pending.remove(i);
        self.workers.turn = job.vault;
        if let Task::Call(call, request, _) = job.task {
            self.see_call(request.allowed.url(), job.asked_at.monotonic, false);
            self.input(Input::CallFailed { call });
        }
    }

    /// Fails a request to the provider or an API, which may have acted on it already.
    pub fn network_fails(&mut self, id: JobId) {
        let Some(i) = self.place_of(id) else {
            return;
        };
        if let Task::Call(..) = self.jobs.pending[i].task {
            return self.call_fails(i);
        }
        self.jobs.pending[i].acted_at.get_or_insert(self.now);
        let outcome = if self.knows_offline {
            Outcome::Failed
        } else {
            Outcome::Opaque
        };
        self.jobs.pending[i].outcome = Some(outcome);
        self.answer_job(i);
    }

    /// Lets the provider act on the first request of this kind. The response remains in flight.
    #[track_caller]
    pub fn act(&mut self, kind: Kind) {
        let i = self.jobs.pending.iter().position(|job| job.kind == kind);
        self.act_on(i.expect("no pending request of this kind"));
    }

    /// Completes one pending operation, or lets the provider act on it. `choose` decides.
    pub fn answer_any(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        if self.jobs.pending.is_empty() {
            return;
        }
        let i = choose(self.jobs.pending.len());
        let job = &self.jobs.pending[i];
        let may_act = matches!(job.task, Task::Send(..)) && job.outcome.is_none();
        if job.is_silent || self.is_locked_out(job) {
            return;
        }
        if may_act && choose(2) == 0 {
            self.act_on(i);
        } else {
            self.answer_job(i);
        }
    }

    pub(super) fn act_on(&mut self, i: usize) {
        let job = &mut self.jobs.pending[i];
        let Task::Send(_, request, proof) = &job.task else {
            panic!("the provider has no part in this");
        };
        if job.asked_at.passed(&self.now) > PROMPT {
            self.watch.hinder();
        }
        job.acted_at = Some(self.now);
        let (rotations, reuses) = (self.provider.rotations(), self.provider.reuses);
        match self
            .provider
            .respond(self.true_time, request, proof.as_deref())
        {
            Some(outcome) => job.outcome = Some(outcome),
            None => job.is_silent = true,
        }
        if job.kind == REFRESH {
            let sent = form_of(request).remove("refresh_token").unwrap();
            if self.provider.rotations() > rotations {
                let family = self.provider.family_of(&sent).unwrap();
                self.watch.rotated(&sent, family);
            }
            if self.provider.reuses > reuses {
                let family = self.provider.family_of(&sent).unwrap();
                let leeway = self.provider.leeway.into();
                self.watch.reused(&sent, family, leeway);
            }
        }
        self.learn_issued_secrets();
        self.story(|world| {
            let job = &world.jobs.pending[i];
            let Task::Send(_, request, _) = &job.task else {
                return String::new();
            };
            let outcome = job
                .outcome
                .as_ref()
                .map_or("no response".to_owned(), in_words);
            format!("provider acts on {}: {outcome}", world.describe(request))
        });
    }

    pub(super) fn answer_job(&mut self, i: usize) {
        if matches!(self.jobs.pending[i].task, Task::Send(..))
            && self.jobs.pending[i].outcome.is_none()
        {
            self.act_on(i);
        }
        if self.jobs.pending[i].is_silent {
            return;
        }
        self.ask_service_worker(i);
        let Job {
            id,
            vault,
            kind,
            task,
            outcome,
            asked_at,
            true_time,
            acted_at,
            is_from_cache,
            is_after_refresh,
            ..
        } = self.jobs.pending.remove(i);
        let waited = |since: &Instant| since.passed(&self.now) > PROMPT;
        let is_of_store = matches!(
            kind,
            Kind::Lock | Kind::Load | Kind::Take | Kind::Persist | Kind::Verify
        );
        if acted_at.as_ref().is_some_and(waited) || is_of_store && waited(&asked_at) {
            self.watch.hinder();
        }
        self.workers.turn = vault;
        self.events.push(Event::Answered(kind));
        self.story(|world| match (&task, &outcome) {
            (Task::Send(_, request, _), Some(outcome)) => {
                let what = world.provider.endpoint_of(request);
                let outcome = in_words(outcome);
                format!("vault learns of {what:?}: {outcome}")
            }
            (Task::Call(call, ..), _) => {
                format!("the API answers {}", world.calls.requests[call])
            }
            (Task::Persist(..), _) if world.persists => "the successor is stored".to_owned(),
            (Task::Persist(..), _) => "the successor cannot be stored".to_owned(),
            _ => format!("{kind:?} is over"),
        });
        match task {
            Task::Send(op, request, _) => {
                let outcome = outcome.unwrap();
                let sent = form_of(&request).remove("refresh_token");
                let family = sent.and_then(|token| self.provider.family_of(&token));
                if let (Outcome::KeyLost, Some(family)) = (&outcome, family) {
                    self.watch.sessions.verdict(vault, family, "storage_lost");
                }
                if kind == PROBE && is_after_refresh {
                    let now = self.time_of(vault);
                    let is_there = !is_from_cache && self.provider.is_metadata(&outcome);
                    self.watch.probed(vault, is_there, &now);
                }
                if let Kind::Provider(endpoint) = kind {
                    self.see_end(endpoint, &request, asked_at.monotonic, &outcome);
                }
                self.replied(&request, &outcome, (asked_at, true_time));
                // A vault that has lost the lock adopts its tokens before they are stored.
                if kind == REFRESH
                    && self.watch.sessions.uses_store(vault)
                    && !self.is_lock_held_by(vault)
                {
                    self.watch.adopted(vault);
                    self.watch.overtaken(vault);
                }
                self.answers_refresh = kind == REFRESH;
                self.input(Input::Responded { op, outcome });
                self.answers_refresh = false;
            }
            Task::MakeKey(op) => {
                let key = self.makes_keys.then(|| self.keys[vault].make());
                self.input(Input::KeyMade { op, key });
            }
            Task::Store(op, key, value, pair, expires_at) => {
                let ok = self.store.put_with(key.clone(), value, pair);
                self.discard_expired(vault, ok.then_some((&key, expires_at)));
                if let Some(sid) = key.strip_prefix("ended ").filter(|_| ok) {
                    self.watch.sessions.marked(vault, sid);
                }
                self.input(Input::Stored { op, ok });
            }
            Task::Take(op, key) => {
                let taken = self.store.take(&key);
                self.keys[vault].insert(self.store.key_of(&key));
                if matches!(taken, Taken::Unavailable) {
                    self.watch.hinder();
                }
                if key.starts_with("ended ") {
                    let now = self.time_of(vault);
                    self.watch.sessions.mark_read(vault, op, &taken, &now);
                }
                self.input(Input::Taken { op, taken });
            }
            Task::Verify {
                op,
                jwk,
                signing_input,
                signature,
            } => {
                let valid = self
                    .provider
                    .verify(&jwk, signing_input.expose(), &signature);
                let facts = self.provider.id_token_facts(signing_input.expose());
                if let Some(facts) = facts {
                    let now = self.time_of(vault);
                    self.watch.verified(vault, facts, valid, &now);
                }
                self.input(Input::Verified { op, valid });
            }
            Task::Persist(op, state, key, known) => {
                let written = match state {
                    Some(state) => self.write(vault, state, key, &known),
                    None if self.persists => Written::Stored,
                    None => Written::Failed,
                };
                let ok = written == Written::Stored;
                self.watch.persisted(vault, ok);
                self.watch.sessions.wrote(vault, self.jobs.last);
                self.input(match written {
                    Written::Overtaken => Input::Overtaken { op },
                    _ => Input::Stored { op, ok },
                });
            }
            Task::Load(op, early, is_locked) => {
                let Read {
                    loaded,
                    record,
                    version,
                } = early.unwrap_or_else(|| self.read(vault));
                if is_locked {
                    self.known_versions[vault] = version.into_iter().collect();
                }
                if matches!(loaded, Loaded::Unavailable) {
                    self.watch.hinder();
                }
                let now = self.time_of(vault);
                self.watch.loaded(vault, &loaded, record.as_ref(), id, &now);
                let name = &self.workers.names[vault].record;
                self.keys[vault].insert(self.store.key_of_session(name));
                self.input(Input::Loaded { op, loaded });
            }
            Task::Lock(op) => {
                self.learns_of_lock(vault, id);
                let last_job = self.jobs.last;
                self.input(Input::Locked { op });
                let is_read = |job: &&Job| job.vault == vault && job.kind == Kind::Load;
                let read = self.jobs.pending.iter().rfind(is_read).map(|job| job.id);
                if self.is_lock_held_by(vault) {
                    self.watch.sessions.locked(vault, last_job, read);
                }
                // If another vault took the lock over while this one was frozen, the browser has reported both, and this
                // vault learns of both before anything else.
                let is_loss = |job: &Job| job.vault == vault && job.kind == Kind::LockLost;
                if let Some(i) = self.jobs.pending.iter().position(is_loss) {
                    self.answer_job(i);
                }
            }
            Task::LockLost => self.learns_of_loss(vault),
            Task::Changed => self.input(Input::Changed),
            Task::Hinted(hint) => {
                if hint.news != News::SignedIn {
                    let now = self.time_of(vault);
                    self.watch.sessions.hears_of_logout(vault, &hint, &now);
                }
                self.input(Input::Hinted(hint));
            }
            Task::Call(call, request, None) if request.proof.is_some() => {
                let authorization = request.authorization.expose();
                let (_, token) = authorization.split_once(' ').unwrap();
                if let Some(family) = self.provider.family_of_access(token) {
                    self.watch.sessions.verdict(vault, family, "storage_lost");
                }
                self.input(Input::CallUnsigned { call });
            }
            Task::Call(call, request, proof) => {
                let api_time = self.true_time.saturating_add_signed(self.api_ahead);
                let is_other = request.allowed.url().starts_with(api::OTHER_API);
                let api = if is_other { api::OTHER_API } else { API };
                let checker = self.checkers.entry(api).or_default();
                let proof = proof.as_deref();
                let response = api::respond(&self.provider, api_time, &request, proof, checker);
                let (url, is_answered) = (request.allowed.url().to_owned(), response.is_some());
                let rule = (api, request.allowed.method().to_owned());
                let token = request.authorization.expose().to_owned();
                self.seen_by_api.push(*request);
                self.see_call(&url, asked_at.monotonic, is_answered);
                if response.as_ref().is_some_and(|head| head.status == 401) {
                    let is_second = !self.calls.refused.insert(call);
                    let known = (vault, rule.clone());
                    let before = self.calls.refused_token.insert(known, token.clone());
                    if is_second || before.is_some_and(|t| t != token) {
                        self.refused_renewed.insert(rule);
                    }
                } else if is_answered {
                    self.calls.refused_token.remove(&(vault, rule));
                }
                self.input(match response {
                    Some(head) => Input::CallResponded { call, head },
                    None => Input::CallFailed { call },
                });
            }
            Task::ResponseBody(call) => self.input(Input::CallClosed { call }),
            Task::Probe(call) => {
                let is_blocked = self.sockets.are_blocked;
                self.input(Input::SocketProbed { call, is_blocked });
            }
            Task::Socket(call) => {
                let protocol = self.sockets.choose(self.calls.requests[&call]);
                self.input(Input::SocketOpened { call, protocol });
            }
        }
    }

    /// Lets a service worker store the provider's metadata and key sets, and serve a stored document if a request for
    /// the document has any other outcome.
    pub(super) fn ask_service_worker(&mut self, i: usize) {
        let job = &mut self.jobs.pending[i];
        if let (Some(cache), Task::Send(_, request, _)) = (&mut self.service_worker, &job.task)
            && request.form.is_none()
            && let Some(outcome) = &mut job.outcome
        {
            if self.provider.is_metadata(outcome) {
                cache.insert(request.url.clone(), outcome.clone());
            } else if let Some(known) = cache.get(&request.url) {
                *outcome = known.clone();
                job.is_from_cache = true;
            }
        }
    }
}
