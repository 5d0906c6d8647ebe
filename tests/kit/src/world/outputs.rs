//! Gives vaults their input, and accepts the tasks that vaults give to their host.

use super::invariants::Invariant;
use super::jobs::{Job, Task};
use super::page::Request;
use super::provider::form_of;
use super::workers::Names;
use super::{Kind, PROBE, REFRESH, World, sockets};
use rules::Secret;
use rules::base::clock::UnixMillis;
use rules::base::http::Outcome;
use rules::codec::json::Value;
use rules::oauth::dpop::PublicKey;
use vault::{ApiRequest, CallId, Input, Loaded, News, OpId, Output, PortId, Taken};

impl World {
    /// Gives this input to every vault that is not frozen.
    pub(super) fn each(&mut self, input: impl Fn() -> Input<'static>) {
        for vault in 0..self.workers.vaults.len() {
            if self.workers.frozen.contains(&vault) {
                continue;
            }
            self.workers.turn = vault;
            self.input(input());
        }
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.witness.debugged(format!("{input:?}"));
        let turn = self.workers.turn;
        if self.stopped.contains(&turn) {
            return;
        }
        let now = self.time_of(turn);
        let holds_lock = self.is_lock_held_by(turn);
        let is_tick = matches!(input, Input::Tick);
        self.watch.before(turn, &now, holds_lock);
        self.see_line(&input);
        if self.has_upload(turn) {
            self.watch.sessions.uploads(turn, &now);
        }
        if let Input::Message { port, text, .. } = &input
            && text.contains(r#""t":"logout""#)
        {
            let is_greeted = self.pages.greeted.contains(port);
            self.watch
                .sessions
                .logs_out(turn, is_greeted, self.true_time);
        }
        let is_active = matches!(&input, Input::Message { port, text, .. }
            if text.contains(r#""t":"active""#) && self.pages.greeted.contains(port));
        self.workers.vaults[turn].handle(now, input);
        while let Some(output) = self.workers.vaults[turn].poll() {
            self.carry_out(output);
        }
        self.searches.check(turn);
        if self.stopped.contains(&turn) {
            return self.watch.killed(turn);
        }
        let is_admitted = |world: &mut Self, call| world.is_admitted(call);
        let touching = self.calls.touching.take();
        if is_active || touching.is_some_and(|call| is_admitted(self, call)) {
            self.watch.sessions.touched(turn, &now);
        }
        let is_here = |port: &&PortId| self.pages.homes[port] == turn;
        let here = self.pages.greeted.iter().filter(is_here);
        let mut told = here.map(|port| &self.pages.told_start[port]);
        let first = told.next();
        Invariant::Agreement.holds_if(told.all(|other| Some(other) == first), || {
            format!("{:?}", self.pages.told_start)
        });
        let has_pages = self
            .pages
            .greeted
            .iter()
            .any(|port| self.pages.homes[port] == turn);
        let next_tick = self.workers.vaults[turn].next_tick(now);
        self.watch.after(turn, &now, has_pages, next_tick, is_tick);
    }

    /// Returns true if this vault waits for the response to an upload of its session.
    fn has_upload(&self, vault: usize) -> bool {
        let family = self.watch.sessions.told(vault);
        self.jobs.pending.iter().any(|job| {
            let Task::Call(call, ..) = &job.task else {
                return false;
            };
            let request = &self.calls.requests[call];
            job.vault == vault && self.calls.uploads.get(request) == Some(&family)
        })
    }

    pub(super) fn carry_out(&mut self, output: Output) {
        self.witness.debugged(format!("{output:?}"));
        self.note_outgoing(&output);
        self.searches.see(self.workers.turn, &output);
        match output {
            Output::Post { port, text } => {
                if text.contains(r#""t":"settled""#) {
                    self.announced_before_settled.push(self.announced);
                }
                self.tell(port, &text);
            }
            Output::Close { port } => {
                self.ledger.waive_page(port);
                self.pages.gone.insert(port);
                self.pages.greeted.remove(&port);
                self.pages.closed.push(port);
            }
            Output::Send { op, request } => {
                let endpoint = self.provider.endpoint_of(&request);
                self.story(|world| format!("vault asks provider: {}", world.describe(&request)));
                self.check_request(endpoint, &request);
                let proof = self.sign(request.proof.as_ref());
                let is_key_lost = request.proof.is_some() && proof.is_none();
                self.job(Kind::Provider(endpoint), Task::Send(op, request, proof));
                if let Some(job) = self.jobs.pending.last_mut().filter(|_| is_key_lost) {
                    job.outcome = Some(Outcome::KeyLost);
                }
            }
            Output::Cancel { op } => self.cancel(op),
            Output::Log { text } => self.log.push(text),
            Output::MakeKey { op } => self.job(Kind::MakeKey, Task::MakeKey(op)),
            Output::KeepKeys { names } => self.keys[self.workers.turn].keep(&names),
            Output::Store {
                op,
                key,
                value,
                key_pair,
                expires_at,
            } => {
                if !key.starts_with("ended ") {
                    self.learn_secrets_of_login(&value);
                }
                let pair = self.keys[self.workers.turn].named(key_pair);
                self.job(Kind::Store, Task::Store(op, key, value, pair, expires_at));
            }
            Output::Take { op, key } => {
                if key.starts_with("ended ") {
                    self.watch.sessions.asks_for_mark(self.workers.turn, op);
                }
                self.job(Kind::Take, Task::Take(op, key));
            }
            Output::Verify {
                op,
                jwk,
                signing_input,
                signature,
                ..
            } => self.job(
                Kind::Verify,
                Task::Verify {
                    op,
                    jwk,
                    signing_input,
                    signature,
                },
            ),
            Output::Persist {
                op,
                state,
                key_pair,
                expires_at,
            } => self.persist(op, state, key_pair, expires_at),
            Output::Load { op, is_locked } => {
                self.watch.sessions.reads(self.workers.turn);
                let early = self.reads_early.then(|| self.read(self.workers.turn));
                self.job(Kind::Load, Task::Load(op, early, is_locked));
            }
            Output::Lock { op } => {
                self.request_lock();
                self.job(Kind::Lock, Task::Lock(op));
            }
            Output::TakeOver => self.take_over(),
            Output::Unlock => self.unlock(),
            Output::Hint(hint) if self.spreads_hints => {
                let channel = usize::from(hint.news == News::SignedIn);
                self.spread(|names| &names.channels[channel], || Task::Hinted(hint));
            }
            Output::Hint(hint) => self.hints.push((self.workers.turn, hint)),
            Output::Stop => {
                let is_new = self.stopped.insert(self.workers.turn);
                assert!(is_new, "a vault stops once");
                let holds_lock = self.is_lock_held_by(self.workers.turn);
                assert!(!holds_lock, "a vault stops while it holds the lock");
            }
            Output::HandKeyOver => self.hand_overs += 1,
            Output::Search { .. } => {}
            Output::Announce => {
                self.announced += 1;
                self.spread(|names| &names.record, || Task::Changed);
            }
            Output::Call {
                call,
                port,
                id,
                request,
            } => self.call(call, Request { port, id }, request),
            Output::ProbeSocket { call, url } => {
                let has_token = sockets::token_in(&url).is_some();
                assert!(!has_token, "a probe carries a token");
                self.sockets.probed.push(url);
                self.job(Kind::Probe, Task::Probe(call));
            }
            Output::OpenSocket { call, handshake } => {
                let (url, protocols) = (handshake.url.expose(), handshake.protocols.expose());
                self.check_token_in(&[url, protocols].concat());
                self.sockets
                    .opened
                    .push((self.calls.requests[&call], *handshake));
                self.job(Kind::Socket, Task::Socket(call));
            }
            Output::SendFirst { call, text } => {
                self.check_token_in(text.expose());
                let first = (self.calls.requests[&call], text.expose().to_owned());
                self.sockets.first_messages.push(first);
            }
            Output::CloseSocket { call, code, reason } => {
                let request = self.calls.requests[&call];
                self.witness.told(&format!(r#"{{"reason":"{reason}"}}"#));
                // The page learns of the closing through the socket's own port, even if the socket never opened.
                if !self.sockets.open.contains(&call) {
                    self.ledger.answered(request);
                }
                self.sockets.closed.push((request, code, reason));
            }
            Output::Deliver { call, text } if self.sockets.has(self.calls.requests[&call]) => {
                self.sockets.open.insert(call);
                self.tell(self.calls.requests[&call].port, &text);
            }
            Output::Deliver { call, text } => {
                let port = self.calls.requests[&call].port;
                self.tell(port, &text);
                self.job(Kind::ResponseBody, Task::ResponseBody(call));
            }
            Output::Drop { call } => {
                let is_its = |task: &Task| match task {
                    Task::Call(c, ..)
                    | Task::Probe(c)
                    | Task::Socket(c)
                    | Task::ResponseBody(c) => *c == call,
                    _ => false,
                };
                if self.sockets.open.remove(&call) {
                    self.sockets.dropped.push(call);
                }
                self.jobs.pending.retain(|job| !is_its(&job.task));
                self.calls.requests.remove(&call);
            }
        }
    }

    /// Adds a task for each vault with the same name as the vault that runs now, except for this vault.
    fn spread(&mut self, name: impl Fn(&Names) -> &String, task: impl Fn() -> Task) {
        let here = self.workers.turn;
        for vault in (0..self.workers.vaults.len()).filter(|vault| *vault != here) {
            let names = &self.workers.names;
            if name(&names[vault]) == name(&names[here]) {
                self.workers.turn = vault;
                self.job(Kind::Changed, task());
            }
        }
        self.workers.turn = here;
    }

    /// Cancels an operation of the vault.
    fn cancel(&mut self, op: OpId) {
        let turn = self.workers.turn;
        let is_it = |job: &Job| {
            let its = match &job.task {
                Task::Send(op, ..)
                | Task::MakeKey(op)
                | Task::Store(op, ..)
                | Task::Take(op, _)
                | Task::Persist(op, ..)
                | Task::Load(op, ..)
                | Task::Lock(op) => *op,
                _ => return false,
            };
            job.vault == turn && its == op
        };
        if let Some(i) = self.jobs.pending.iter().position(is_it) {
            let job = self.jobs.pending.remove(i);
            self.story(|_| format!("vault gives up: {:?}", job.kind));
            self.watch.hinder();
            if let (Task::Send(_, request, _), Kind::Provider(endpoint)) = (&job.task, job.kind) {
                self.see_end(endpoint, request, job.asked_at.monotonic, &Outcome::Failed);
            }
            match job.task {
                Task::Send(..) if job.kind == PROBE && job.is_after_refresh => {
                    let now = self.time_of(turn);
                    self.watch.probed(turn, false, &now);
                }
                Task::Send(_, request, _) if job.kind == REFRESH => {
                    let family = self.provider.family_of(&form_of(&request)["refresh_token"]);
                    self.watch.timed_out(turn, family);
                }
                Task::Persist(_, Some(state), key, known)
                    if self.jobs.landing_late.contains(&job.id) =>
                {
                    self.watch.sessions.wrote(turn, self.jobs.last);
                    self.story(|_| "the canceled write reaches the store all the same".to_owned());
                    self.write(turn, state, key, &known);
                }
                Task::Persist(_, Some((state, _)), ..) => {
                    self.watch.sessions.wrote(turn, self.jobs.last);
                    self.watch.written(turn, state.expose(), false);
                }
                Task::Persist(_, None, ..) => self.watch.persisted(turn, false),
                Task::Take(op, key) if key.starts_with("ended ") => {
                    let now = self.time_of(turn);
                    let taken = Taken::Unavailable;
                    self.watch.sessions.mark_read(turn, op, &taken, &now);
                }
                Task::Load(..) => {
                    let now = self.time_of(turn);
                    self.watch
                        .loaded(turn, &Loaded::Unavailable, None, job.id, &now);
                }
                Task::Lock(_) => self.gives_up_lock(turn, job.id),
                _ => {}
            }
        }
    }

    /// Stores the vault's session.
    fn persist(
        &mut self,
        op: OpId,
        state: Option<Secret>,
        key_pair: Option<PublicKey>,
        expires_at: UnixMillis,
    ) {
        let is_kept = self.seems_to_hold_lock(self.workers.turn);
        let now = self.time_of(self.workers.turn).wall;
        Invariant::Sanity.holds_if(!is_kept || expires_at > now, || {
            "the store receives a session that has expired".to_owned()
        });
        if let Some(state) = &state {
            let has_lock = self.seems_to_hold_lock(self.workers.turn);
            let access_token = access_token_in(state.expose());
            let family = access_token.and_then(|token| self.provider.family_of_access(&token));
            let now = self.time_of(self.workers.turn);
            self.watch
                .writes(self.workers.turn, state.expose(), family, &now, has_lock);
        }
        let pair = self.keys[self.workers.turn].named(key_pair);
        let known = self.known_versions[self.workers.turn].clone();
        let state = state.map(|state| (state, expires_at));
        self.job(Kind::Persist, Task::Persist(op, state, pair, known));
    }

    /// Calls an API for a page's request.
    fn call(&mut self, call: CallId, asked: Request, request: Box<ApiRequest>) {
        self.story(|_| format!("vault calls the API for {asked}"));
        let is_its = self.calls.requests.get(&call) == Some(&asked);
        Invariant::OwnResponse.holds_if(is_its, || asked.to_string());
        let authorization = request.authorization.expose();
        let (_, token) = authorization.split_once(' ').unwrap_or_default();
        let family = self.provider.family_of_access(token);
        let now = self.time_of(self.workers.turn);
        let what = || format!("a call for {asked}");
        let sessions = &self.watch.sessions;
        sessions.acts_for(self.workers.turn, family, what);
        self.watch.call(self.workers.turn, token, family, &now);
        let user = self.provider.user_of(authorization);
        let asked_as = &self.calls.asked_as[&asked];
        let told = self.pages.told_user.get(&asked.port).map(String::as_str);
        // Without OpenID Connect, a page may not know whose session it has.
        let is_unknown = self.provider.is_plain && told.is_none();
        let is_users = is_unknown || user == told && user == asked_as.as_deref();
        Invariant::OwnResponse.holds_if(is_users, || "another user's token".to_owned());
        let key = self.provider.key_of(token).map(str::to_owned);
        self.check_proof(authorization, key.as_deref(), request.proof.as_ref());
        let url = request.allowed.url();
        let api = self.checkers.iter().find(|(api, _)| url.starts_with(**api));
        let wanted = api.and_then(|(_, checker)| checker.resource);
        let wanted = self.provider.wanted_resource(&request, wanted);
        let is_its = self.provider.resource_of(token) == wanted;
        Invariant::OwnToken.holds_if(is_its, || {
            let meant = self.provider.resource_of(token);
            format!("one for {meant:?} goes to {url}, which is {wanted:?}")
        });
        let proof = self.sign(request.proof.as_ref());
        self.record_call(call, asked, &request, proof.as_ref());
        self.job(Kind::Call, Task::Call(call, request, proof));
    }
}

/// Returns the access token in a stored session, or `None` if the session has ended.
fn access_token_in(state: &str) -> Option<String> {
    let state = Value::parse(state).ok()?;
    Some(state.as_object()?.str("access_token")?.to_owned())
}
