//! The loop: what happens goes into the core, and what comes out is carried out, until nothing more
//! comes.
//!
//! All that happens comes in by one function of JavaScript, `happened(event, id, value)`, of which
//! listeners and promises get copies with `event` and `id` bound. What takes time is a [`Step`] under
//! a number, and goes on when that number comes back. A number that is forgotten comes back in vain.

use crate::prelude::*;

use wasm_bindgen::JsValue;

use crate::base::clock::{Instant, Millis};
use crate::base::http::Outcome;
use crate::browser::api_call::Calls;
#[cfg(feature = "extended")]
use crate::browser::api_socket::Sockets;
#[cfg(feature = "extended")]
use crate::browser::dpop::{Keys, Making};
use crate::browser::encrypted_store::{self, Job};
#[cfg(feature = "extended")]
use crate::browser::escrow::Escrow;
use crate::browser::operation::{Flow, Next};
use crate::browser::platform;
use crate::browser::provider_request::Exchange;
use crate::browser::signature::Verification;
use crate::config::Config;
#[cfg(feature = "extended")]
use crate::vault::ApiRequest;
use crate::vault::{
    Body, CallId, Entropy, Hint, Input, OpId, Output, PortId, Vault, hints_channel,
};

/// Whether this build can keep sessions.
const IS_KEEPER: bool = cfg!(feature = "extended");

/// What can happen: the first argument of `happened`.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// The page at port `id` sent a message.
    Message,
    /// The promise that step `id` waits for is fulfilled.
    Fulfilled,
    /// The IndexedDB request that step `id` waits for has succeeded.
    Succeeded,
    /// What step `id` waits for has failed.
    Failed,
    /// The database is new.
    Upgrade,
    /// The timer fired.
    Tick,
    /// The lock that step `id` waits for is this vault's.
    Locked,
    /// Another vault has changed the store.
    Changed,
    /// Another vault has posted a hint.
    Hinted,
    /// The browser does not give the lock that operation `id` waits for.
    Refused,
    /// The worker's Content-Security-Policy was violated.
    #[cfg(feature = "extended")]
    PolicyViolated,
    /// The probe for the socket of call `id` has an end.
    #[cfg(feature = "extended")]
    ProbeEnded,
    /// The socket of call `id` is open.
    #[cfg(feature = "extended")]
    SocketOpened,
    /// A message came by it.
    #[cfg(feature = "extended")]
    SocketReceived,
    /// It failed.
    #[cfg(feature = "extended")]
    SocketFailed,
    /// It is closed.
    #[cfg(feature = "extended")]
    SocketClosed,
    /// Its page sent something.
    #[cfg(feature = "extended")]
    PageSent,
}

impl Event {
    const ALL: [Self; if cfg!(feature = "extended") { 17 } else { 10 }] = [
        Self::Message,
        Self::Fulfilled,
        Self::Succeeded,
        Self::Failed,
        Self::Upgrade,
        Self::Tick,
        Self::Locked,
        Self::Changed,
        Self::Hinted,
        Self::Refused,
        #[cfg(feature = "extended")]
        Self::PolicyViolated,
        #[cfg(feature = "extended")]
        Self::ProbeEnded,
        #[cfg(feature = "extended")]
        Self::SocketOpened,
        #[cfg(feature = "extended")]
        Self::SocketReceived,
        #[cfg(feature = "extended")]
        Self::SocketFailed,
        #[cfg(feature = "extended")]
        Self::SocketClosed,
        #[cfg(feature = "extended")]
        Self::PageSent,
    ];
}

/// A vault that runs in this worker.
pub struct Host {
    vault: Vault,
    pub(super) scope: JsValue,
    pub(super) calls: Calls,
    #[cfg(feature = "extended")]
    pub(super) sockets: Sockets,
    #[cfg(feature = "extended")]
    pub(super) keys: Keys,
    happened: JsValue,
    /// What vaults over one store have in common: `StoreLock` in pkg/src/worker/store-lock.ts.
    common: JsValue,
    /// Under which name the session is kept.
    session_name: String,
    /// The key of kept sessions, if it is in escrow.
    #[cfg(feature = "extended")]
    pub(super) escrow: Option<Escrow>,
    /// Which operation waits for the lock, or waited last.
    lock_op: OpId,
    ports: Vec<(PortId, JsValue)>,
    last_port: PortId,
    last_call: CallId,
    /// What happened while the host carried out what came of something else.
    reports: Vec<Input<'static>>,
    waiting: Vec<(u32, Step)>,
    last_step: u32,
    timer: JsValue,
    timer_at: Millis,
}

/// What goes on when something is done.
pub(super) enum Step {
    /// An operation of the core's.
    Flow(OpId, Box<Flow>),
    /// A call: the signature of its proof.
    #[cfg(feature = "extended")]
    Sign(CallId, Box<ApiRequest>),
    /// A call: the head of its answer.
    Answer(CallId),
    /// A call: the next piece of its body.
    Piece(CallId),
}

/// The platform's random numbers.
struct PlatformEntropy;

impl Entropy for PlatformEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        platform::fill_random(octets);
    }
}

impl Host {
    /// Starts a vault in the worker whose global object is `scope`. Everything that happens comes to
    /// `happened`, which has to pass it to [`Host::happened`].
    #[must_use]
    pub fn new(mut config: Config, scope: JsValue, happened: JsValue, common: JsValue) -> Self {
        let hints = hints_channel(&config);
        config.is_dedicated = platform::get(&scope, "onconnect").is_undefined();
        let host = Self {
            session_name: session_name(&config),
            #[cfg(feature = "extended")]
            escrow: config.is_escrowed.then(|| Escrow::new(&scope)),
            common,
            lock_op: 0,
            vault: Vault::new(config, Box::new(PlatformEntropy)),
            scope,
            calls: Calls::default(),
            #[cfg(feature = "extended")]
            sockets: Sockets::default(),
            #[cfg(feature = "extended")]
            keys: Keys::default(),
            happened,
            ports: Vec::new(),
            last_port: 0,
            last_call: 0,
            reports: Vec::new(),
            waiting: Vec::new(),
            last_step: 0,
            timer: JsValue::UNDEFINED,
            timer_at: Millis::ZERO,
        };
        if IS_KEEPER && !host.session_name.is_empty() {
            let changed = host.listener(Event::Changed, 0);
            host.common("open", &[&platform::text(&host.session_name), &changed]);
        }
        let hinted = host.listener(Event::Hinted, 0);
        host.common("hear", &[&platform::text(&hints), &hinted]);
        host
    }

    /// Serves a page.
    pub fn connect(&mut self, port: JsValue) {
        self.last_port += 1;
        // This starts the port, and with it what the page sent meanwhile.
        let listener = self.listener(Event::Message, self.last_port);
        platform::set(&port, "onmessage", &listener);
        self.ports.push((self.last_port, port));
    }

    /// Something happened; the arguments are those of the function that was given to [`Host::new`].
    pub fn happened(&mut self, event: u32, id: u32, value: &JsValue) {
        let Some(event) = Event::ALL.get(event as usize) else {
            return;
        };
        match event {
            Event::Message => self.message(id, &platform::get(value, "data")),
            Event::Fulfilled => self.settle(id, Ok(value.clone())),
            Event::Succeeded => self.settle(id, Ok(result_of(value))),
            Event::Failed => self.settle(id, Err(value.clone())),
            Event::Upgrade => encrypted_store::create(&result_of(value)),
            Event::Tick => {
                self.timer = JsValue::UNDEFINED;
                self.report(Input::Tick);
            }
            Event::Hinted => {
                let number = platform::get(value, "data").as_f64().unwrap_or_default();
                if let Some(hint) = Hint::from_number(number) {
                    self.report(Input::Hinted(hint));
                }
            }
            Event::Locked | Event::Refused | Event::Changed if !IS_KEEPER => {}
            Event::Locked => self.report(Input::Locked { op: id }),
            Event::Changed => self.report(Input::Changed),
            Event::Refused => self.report(Input::Answered {
                op: id,
                outcome: Outcome::Failed,
            }),
            #[cfg(feature = "extended")]
            Event::PolicyViolated => self.policy_violated(value),
            #[cfg(feature = "extended")]
            Event::ProbeEnded => self.probe_ended(id, false),
            #[cfg(feature = "extended")]
            _ => self.socket_event(*event, id, value),
        }
        if let Some(report) = self.reports.pop() {
            self.handle(report);
        }
    }

    /// A function that reports `event`.
    pub(super) fn listener(&self, event: Event, id: u32) -> JsValue {
        platform::bind(&self.happened, &JsValue::NULL, event as u32, id)
    }

    fn message(&mut self, port: PortId, data: &JsValue) {
        if let Some(id) = data.as_f64() {
            return self.grant(port, id);
        }
        self.last_call += 1;
        let call = self.last_call;
        // What is no array with a text first becomes a text that cannot be read, and is told so.
        let text = platform::get_text(data, "0").unwrap_or_default();
        let payload = platform::get(data, "1");
        let body = if is_stream(&payload) {
            Body::OneShot
        } else {
            Body::Replayable
        };
        if !payload.is_undefined() && !platform::is_list(&payload) {
            self.calls.keep_body(call, payload);
        }
        self.handle(Input::Message {
            port,
            call,
            text: &text,
            body,
        });
    }

    /// Keeps `report` for the core until it is its turn: what comes of it may be reported as well, any
    /// number of times.
    pub(super) fn report(&mut self, report: Input<'static>) {
        self.reports.push(report);
    }

    /// Puts `input` into the core and carries out what comes out, until nothing more comes of that.
    fn handle(&mut self, input: Input<'_>) {
        let now = now();
        let mut next = Some(input);
        while let Some(input) = next {
            self.vault.handle(now, input);
            while let Some(output) = self.vault.poll() {
                self.carry_out(output);
            }
            next = self.reports.pop();
        }
        self.set_timer(now);
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Post { port, text } => {
                let message = platform::array_of_1(&platform::text(&text));
                self.post(port, &message, &JsValue::UNDEFINED);
            }
            Output::Close { port } => {
                if let Some(i) = self.ports.iter().position(|(p, _)| *p == port) {
                    let (_, port) = self.ports.swap_remove(i);
                    let _ = platform::call(&port, "close", &[]);
                }
            }
            Output::Send { op, request } => {
                self.begin(op, Flow::Exchange(Exchange::new(request)));
            }
            Output::Cancel { op } => {
                let step = self.forget_step(|step| matches!(step, Step::Flow(o, _) if *o == op));
                match step {
                    Some(Step::Flow(_, flow)) => flow.end(),
                    _ if IS_KEEPER && op == self.lock_op => self.common("giveUp", &[]),
                    _ => {}
                }
            }
            #[cfg(not(feature = "extended"))]
            Output::Store {
                op,
                key,
                value,
                expires_at,
            } => self.begin(op, Flow::Seal(Job::put(&key, value, expires_at))),
            #[cfg(feature = "extended")]
            Output::Store {
                op,
                key,
                value,
                expires_at,
                key_pair,
            } => {
                let job = Job::put(&key, value, expires_at).with_key_pair(key_pair, &self.keys);
                self.begin(op, Flow::Seal(job));
            }
            #[cfg(feature = "extended")]
            Output::MakeKey { op } => self.begin(op, Flow::Making(Making::default())),
            #[cfg(feature = "extended")]
            Output::KeepKeys { names } => self.keys.keep(&names),
            Output::Take { op, key } => self.begin(op, Flow::Seal(Job::take(&key))),
            Output::Verify {
                op,
                algorithm,
                jwk,
                signing_input,
                signature,
            } => {
                let verification = Verification::new(algorithm, jwk, signing_input, signature);
                self.begin(op, Flow::Verification(verification));
            }
            Output::Call {
                call,
                port,
                id,
                request,
            } => self.send(call, (port, id as f64), request),
            Output::Deliver { call, text } => self.deliver(call, &text),
            Output::Drop { call } => self.forget_call(call),
            #[cfg(feature = "extended")]
            Output::ProbeSocket { call, url } => self.probe_socket(call, url),
            #[cfg(feature = "extended")]
            Output::OpenSocket { call, handshake } => self.open_socket(call, &handshake),
            #[cfg(feature = "extended")]
            Output::SendFirst { call, text, token } => {
                self.send_first(call, text.expose(), token.expose());
            }
            #[cfg(feature = "extended")]
            Output::CloseSocket { call, code, reason } => self.close_socket(call, code, &reason),
            Output::Hint(hint) => self.common("hint", &[&JsValue::from_f64(hint.to_number())]),
            Output::Stop => self.common("stop", &[]),
            _ if !IS_KEEPER => {}
            // A session in memory has nothing to wait for.
            Output::Persist {
                op, state: None, ..
            } => self.report(Input::Stored { op, ok: true }),
            Output::Persist {
                op,
                state: Some(state),
                expires_at,
                #[cfg(feature = "extended")]
                key_pair,
            } => {
                let name = self.session_name.clone();
                let job = Job::put_session(name, state, expires_at);
                #[cfg(feature = "extended")]
                let job = job.with_key_pair(key_pair, &self.keys);
                self.begin(op, Flow::Seal(self.of_session(job)));
            }
            Output::Load { op } => {
                let name = self.session_name.clone();
                let job = Job::load_session(name);
                self.begin(op, Flow::Seal(self.of_session(job)));
            }
            Output::Lock { op } => {
                self.lock_op = op;
                let granted = self.listener(Event::Locked, op);
                let refused = self.listener(Event::Refused, op);
                self.common("lock", &[&granted, &refused]);
            }
            Output::Unlock => self.common("unlock", &[]),
            Output::Announce => self.common("tell", &[]),
            #[cfg(feature = "extended")]
            Output::HandKeyOver => self.hand_key_over(),
            #[cfg(not(feature = "extended"))]
            Output::HandKeyOver => {}
        }
    }

    /// Where its key is in escrow, a session takes another way than a login.
    #[cfg_attr(
        not(feature = "extended"),
        expect(clippy::unused_self, reason = "it has no escrow")
    )]
    fn of_session(&self, job: Job) -> Job {
        #[cfg(feature = "extended")]
        let job = job.of_session(self);
        job
    }

    fn common(&self, name: &str, args: &[&JsValue]) {
        // What the platform has not is given up in time.
        let _ = platform::call(&self.common, name, args);
    }

    fn begin(&mut self, op: OpId, flow: Flow) {
        self.advance(op, Box::new(flow), Ok(JsValue::UNDEFINED));
    }

    fn advance(&mut self, op: OpId, mut flow: Box<Flow>, value: Result<JsValue, JsValue>) {
        let next = value.and_then(|value| match &mut *flow {
            #[cfg(feature = "extended")]
            Flow::Exchange(exchange) => exchange.advance(op, &self.scope, &self.keys, &value),
            #[cfg(not(feature = "extended"))]
            Flow::Exchange(exchange) => exchange.advance(op, &self.scope, &value),
            #[cfg(feature = "extended")]
            Flow::Making(making) => making.advance(op, self, &value),
            Flow::Seal(job) => job.advance(op, self, value),
            Flow::Verification(verification) => verification.advance(op, &self.scope, &value),
        });
        let next = next.or_else(|error| match &mut *flow {
            Flow::Seal(job) => job.begin_anew(self, error),
            _ => Err(error),
        });
        let end = match next {
            Ok(Next::When(thing)) => return self.when(&thing, Step::Flow(op, flow)),
            Ok(Next::Done(end)) => end,
            Err(_) => flow.failed(op, &self.scope),
        };
        flow.end();
        self.report(end);
    }

    /// Takes `step` when a promise or an IndexedDB request is done.
    pub(super) fn when(&mut self, thing: &JsValue, step: Step) {
        self.last_step += 1;
        let id = self.last_step;
        self.waiting.push((id, step));
        let failed = self.listener(Event::Failed, id);
        if platform::get(thing, "then").is_undefined() {
            let succeeded = self.listener(Event::Succeeded, id);
            platform::set(thing, "onsuccess", &succeeded);
            // Of a transaction.
            platform::set(thing, "oncomplete", &succeeded);
            platform::set(thing, "onabort", &failed);
            platform::set(thing, "onerror", &failed);
        } else {
            let fulfilled = self.listener(Event::Fulfilled, id);
            // A promise takes any listener.
            let _ = platform::call(thing, "then", &[&fulfilled, &failed]);
        }
    }

    fn settle(&mut self, id: u32, value: Result<JsValue, JsValue>) {
        let Some(i) = self.waiting.iter().position(|(waiting, _)| *waiting == id) else {
            return;
        };
        match self.waiting.swap_remove(i).1 {
            Step::Flow(op, flow) => self.advance(op, flow, value),
            #[cfg(feature = "extended")]
            Step::Sign(call, request) => self.signed(call, &request, value),
            Step::Answer(call) => self.answered(call, value),
            Step::Piece(call) => self.received(call, value),
        }
    }

    pub(super) fn forget_step(&mut self, is_it: impl Fn(&Step) -> bool) -> Option<Step> {
        let i = self.waiting.iter().position(|(_, step)| is_it(step))?;
        Some(self.waiting.swap_remove(i).1)
    }

    /// Sees to it that the next tick comes in time. A timer that fires earlier than needed is left as
    /// it is: most inputs move the next tick back, and setting a timer costs more than an empty tick.
    fn set_timer(&mut self, now: Instant) {
        let Some(at) = self.vault.next_tick(now) else {
            return;
        };
        if !self.timer.is_undefined() {
            if self.timer_at <= at {
                return;
            }
            let _ = platform::call(&self.scope, "clearTimeout", &[&self.timer]);
        }
        // Browsers count in 32 bits. Waking early does no harm.
        let delay = at.saturating_sub(now.monotonic).0.min(1_000_000_000) + 1;
        let delay = JsValue::from_f64(delay as f64);
        let tick = self.listener(Event::Tick, 0);
        let timer = platform::call(&self.scope, "setTimeout", &[&tick, &delay]);
        self.timer = timer.unwrap_or_default();
        self.timer_at = at;
    }

    /// Posts to a page, and hands over what is in the array `transfer`. A page that is gone is not told
    /// anything.
    pub(super) fn post(&self, port: PortId, message: &JsValue, transfer: &JsValue) {
        if let Some((_, port)) = self.ports.iter().find(|(p, _)| *p == port) {
            let _ = platform::call(port, "postMessage", &[message, transfer]);
        }
    }
}

/// Several apps may share an origin.
fn session_name(config: &Config) -> String {
    if IS_KEEPER && config.keeps {
        ["session ", &config.issuer, " ", &config.client_id].concat()
    } else {
        String::new()
    }
}

/// Whether a body is a stream, which can be sent only once.
pub(super) fn is_stream(body: &JsValue) -> bool {
    !platform::get(body, "getReader").is_undefined()
}

/// What an IndexedDB request resulted in, by its event.
fn result_of(event: &JsValue) -> JsValue {
    platform::get(&platform::get(event, "target"), "result")
}

/// Milliseconds: longer than any session lasts.
const LONG_AGO: u64 = 1 << 40;

fn now() -> Instant {
    Instant {
        // A worker's own clock begins with it. A session that was kept is older, and what has passed since
        // it began must not be less than nothing.
        monotonic: Millis(platform::monotonic_clock() as u64 + LONG_AGO),
        // Dates before 1970 become 1970.
        wall: platform::wall_clock() as u64,
    }
}
