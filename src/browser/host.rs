//! The host's loop: the host passes each event to the core, and then performs the core's outputs until the core has no
//! more outputs.
//!
//! Every event arrives through one JavaScript function, `onEvent(event, id, value)`. Each listener is a copy of this
//! function with `event` and `id` bound. The host ignores the result of a promise or request that it no longer waits
//! for.

use rules::prelude::*;

use core::future::Future;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort, Performance};

use crate::api_call::{self, Exchanges};
use crate::api_socket::Sockets;
use crate::context::{Context, Event, WaitId};
use crate::dpop::{self, PrivateKey};
use crate::encrypted_store::{self, Obstacle, Place};
use crate::key_generation;
use crate::operation::{Operations, Task};
use crate::platform::{self, OnEvent, StoreLock, VaultDatabase, WorkerScope};
use crate::provider_request;
use crate::signature;
use rules::Secret;
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::http::Outcome;
use vault::config::Config;
use vault::{Body, CallId, Entropy, Hint, Input, News, OpId, Output, PortId, Vault};

/// The host of a vault in this worker.
pub(crate) struct Host {
    vault: Vault,
    context: Context,
    operations: Operations,
    exchanges: Exchanges,
    sockets: Sockets,
    store_lock: StoreLock,
    /// The name of the stored session's record; empty if the configuration does not persist sessions.
    session_name: String,
    /// The operation that waits for the store's lock, or the last operation that waited for it.
    lock_op: OpId,
    last_call: CallId,
    clock: Option<Performance>,
    timer: Option<Timer>,
}

struct Timer {
    handle: i32,
    at: Millis,
}

/// Provides random bytes from the platform.
struct PlatformEntropy;

impl Entropy for PlatformEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        wasm::fill_random(bytes);
    }
}

impl Host {
    /// Starts a vault in the worker whose global object is `scope`. The platform passes every event to `on_event`, and
    /// `on_event` has to pass the event to [`Host::on_event`].
    #[must_use]
    pub(crate) fn new(
        mut config: Config,
        scope: WorkerScope,
        on_event: OnEvent,
        store_lock: StoreLock,
        database: VaultDatabase,
    ) -> Self {
        let channels = [config.flow.channel(), config.sign_in_channel()];
        config.is_dedicated = scope.on_connect().is_undefined();
        let clock = scope.performance();
        let context = Context::new(scope, on_event, database, config.persist);
        let session_name = session_name(&config);
        // Errors are ignored: if the platform lacks Web Locks or a `BroadcastChannel`, each wait for another vault ends
        // at its time limit.
        if !session_name.is_empty() {
            let changed = context.listener(Event::Changed, 0);
            let lost = context.listener(Event::LockLost, 0);
            let _ = store_lock.open(&session_name, &changed, &lost);
        }
        let hinted = context.listener(Event::Hinted, 0);
        for channel in &channels {
            let _ = store_lock.hear(channel, &hinted);
        }
        Self {
            vault: Vault::new(config, Box::new(PlatformEntropy)),
            context,
            operations: Operations::default(),
            exchanges: Exchanges::default(),
            sockets: Sockets::default(),
            store_lock,
            session_name,
            lock_op: OpId(0),
            last_call: CallId(0),
            clock,
            timer: None,
        }
    }

    /// Begins to read the stored session, before a page asks for it.
    pub(crate) fn load(&mut self) {
        self.handle(Input::Tick);
    }

    /// Connects a page. `port` leads to the page. `is_framed` is true for a page of another origin.
    pub(crate) fn connect(&mut self, port: MessagePort, is_framed: bool) {
        let port = self.context.add_port(port);
        if is_framed {
            self.handle(Input::Framed { port });
        }
    }

    /// Handles an event. The arguments are those of a call to the function `on_event` that [`Host::new`] was given.
    pub(crate) fn on_event(&mut self, event: u32, id: u32, value: JsValue) {
        let Some(event) = Event::from_number(event) else {
            return;
        };
        match event {
            Event::Message => self.message(PortId(id), &value.unchecked_into()),
            Event::Fulfilled => self.resume(WaitId(id), Ok(value)),
            Event::Succeeded => self.resume(WaitId(id), Ok(platform::result_of(&value))),
            Event::Failed => self.resume(WaitId(id), Err(value)),
            Event::Tick => {
                self.timer = None;
                self.context.report(Input::Tick);
            }
            Event::Hinted => {
                let message: MessageEvent = value.unchecked_into();
                let number = message.data().as_f64().unwrap_or_default();
                if let Some(hint) = Hint::from_number(number) {
                    self.context.report(Input::Hinted(hint));
                }
            }
            Event::Locked => self.context.report(Input::Locked { op: OpId(id) }),
            Event::LockLost => self.context.report(Input::LockLost),
            Event::Changed => self.context.report(Input::Changed),
            Event::Refused => self.context.report(Input::Responded {
                op: OpId(id),
                outcome: Outcome::Failed,
            }),
            Event::ReceiverSent => {
                let message: MessageEvent = value.unchecked_into();
                let (context, data) = (&mut self.context, message.data());
                self.exchanges.receiver_sent(context, CallId(id), &data);
            }
            _ => {
                let context = &mut self.context;
                self.sockets.on_event(context, event, CallId(id), value);
            }
        }
        if let Some(report) = self.context.next_report() {
            self.handle(report);
        }
    }

    /// Handles a page's message. A number requests more chunks of a response's body. Any other message is an array of a
    /// JSON string and a payload.
    fn message(&mut self, port: PortId, event: &MessageEvent) {
        let data = event.data();
        if let Some(id) = data.as_f64() {
            return self.exchanges.grant(&mut self.context, port, id);
        }
        let call = self.last_call.next();
        self.last_call = call;
        // A message of any other form is passed on as an empty string, which the core refuses.
        let (text, payload) = data
            .dyn_ref::<Array>()
            .map_or_else(Default::default, |array| {
                (platform::to_string(&array.get(0)), array.get(1))
            });
        let body = if api_call::is_stream(&payload) {
            Body::OneShot
        } else {
            Body::Replayable
        };
        // Other values are dropped: `fetch` would convert them to strings, which takes a worker minutes for a long number,
        // and expands a few bytes of nested arrays into gigabytes.
        if api_call::is_payload(&payload) {
            self.exchanges.keep_payload(call, payload);
        }
        self.handle(Input::Message {
            port,
            call,
            text: &text.unwrap_or_default(),
            body,
        });
    }

    fn resume(&mut self, wait: WaitId, result: Result<JsValue, JsValue>) {
        let context = &mut self.context;
        if let Some(result) = self.operations.resume(context, wait, result) {
            self.exchanges.resume(context, wait, result);
        }
    }

    /// Passes `input` to the core and performs the outputs of the core. Repeats this with the inputs that arise from
    /// the outputs.
    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        let mut next = Some(input);
        while let Some(input) = next {
            self.vault.handle(now, input);
            while let Some(output) = self.vault.poll() {
                self.carry_out(output);
            }
            next = self.context.next_report();
        }
        self.set_timer(now);
    }

    /// Performs an output of the core.
    fn carry_out(&mut self, output: Output) {
        let context = &mut self.context;
        let key_pair = dpop::key_to_store(&context.keys.borrow(), &output);
        match output {
            Output::Post { port, text } => {
                let message = Array::of1(&text.as_str().into());
                context.post(port, &message, &JsValue::UNDEFINED);
            }
            Output::Close { port } => context.close_port(port),
            Output::Call {
                call,
                port,
                id,
                request,
            } => self.exchanges.send(context, call, (port, id), request),
            Output::Deliver { call, text } => {
                if !self.sockets.deliver(context, call, &text) {
                    self.exchanges.deliver(context, call, &text);
                }
            }
            Output::Search { tokens } => {
                self.sockets.search(&tokens);
                self.exchanges.search(context, &tokens);
            }
            Output::Drop { call } => {
                self.sockets.drop_call(call);
                self.exchanges.forget(context, call);
            }

            Output::Send { op, request } => self.begin(op, async move |task| {
                let outcome = provider_request::exchange(&task, request).await;
                Input::Responded { op, outcome }
            }),
            Output::Cancel { op } => self.cancel(op),
            Output::Verify {
                op,
                algorithm,
                jwk,
                signing_input,
                signature,
            } => self.begin(op, async move |task| {
                let verified =
                    signature::is_valid(&task, algorithm, &jwk, &signing_input, &signature);
                let valid = verified.await.unwrap_or(false);
                Input::Verified { op, valid }
            }),
            Output::Store {
                op,
                key,
                value,
                expires_at,
                ..
            } => self.begin_put(op, Place::of_login(&key), value, expires_at, key_pair),
            Output::Take { op, key } => self.begin(op, async move |task| {
                let taken = encrypted_store::take(&task, &Place::of_login(&key)).await;
                Input::Taken { op, taken }
            }),
            Output::Hint(hint) => {
                let channel = u32::from(hint.news == News::SignedIn);
                let _ = self.store_lock.hint(channel, hint.to_number());
            }
            Output::Stop => self.store_lock.stop(),
            Output::Log { text } => {
                // No `msg!`, because the console gets a text and not a code.
                let text = ["strongroom: the provider says ", &text].concat();
                web_sys::console::warn_1(&text.into());
            }

            // If sessions are not persisted, nothing is stored, and the core need not wait.
            Output::Persist {
                op, state: None, ..
            } => context.report(Input::Stored { op, ok: true }),
            Output::Persist {
                op,
                state: Some(state),
                expires_at,
                ..
            } => {
                let place = Place::of_session(self.session_name.clone());
                self.begin_put(op, place, state, expires_at, key_pair);
            }
            Output::Load { op, is_locked } => {
                let place = Place::of_session(self.session_name.clone());
                self.begin(op, async move |task| {
                    let loaded = encrypted_store::load(&task, &place, is_locked).await;
                    Input::Loaded { op, loaded }
                });
            }
            Output::Lock { op } => self.lock(op),
            Output::TakeOver => {
                let _ = self.store_lock.take_over();
            }
            Output::Unlock => self.store_lock.unlock(),
            Output::Announce => {
                let _ = self.store_lock.tell();
            }

            Output::ProbeSocket { call, url } => {
                self.sockets.probe(context, call, url);
            }
            Output::OpenSocket { call, handshake } => {
                let payload = self.exchanges.take_payload(call);
                self.sockets.open(context, call, &handshake, payload);
            }
            Output::SendFirst { call, text } => self.sockets.send_first(call, text.expose()),
            Output::CloseSocket { call, code, reason } => {
                self.sockets.close_socket(call, code, &reason);
            }
            Output::MakeKey { op } => self.begin(op, async move |task| {
                let key = key_generation::make_key(&task).await.unwrap_or_default();
                Input::KeyMade { op, key }
            }),
            Output::KeepKeys { names } => context.keys.borrow_mut().keep(&names),
            Output::HandKeyOver => self.hand_key_over(),
        }
    }

    fn cancel(&mut self, op: OpId) {
        let is_canceled = self.operations.cancel(op);
        if !is_canceled && op == self.lock_op {
            self.store_lock.give_up();
        }
    }

    fn lock(&mut self, op: OpId) {
        self.lock_op = op;
        let granted = self.context.listener(Event::Locked, op.0);
        let refused = self.context.listener(Event::Refused, op.0);
        // An error is ignored: if the lock is neither granted nor refused, the core stops waiting after a time limit.
        let _ = self.store_lock.lock(&granted, &refused);
    }

    /// Sends the key that encrypts sessions to the escrow again, without waiting for the result.
    fn hand_key_over(&mut self) {
        let scope = &self.context.scope;
        let escrow = self.context.escrow.as_ref();
        if let Some(promise) = escrow.and_then(|escrow| escrow.borrow().hand_over(scope)) {
            // The result is not used, but a promise without a listener for its rejection would report an unhandled
            // error.
            self.context.wait(&promise.into());
        }
    }

    fn begin<F>(&mut self, op: OpId, work: impl FnOnce(Task) -> F)
    where
        F: Future<Output = Input<'static>> + 'static,
    {
        self.operations.begin(&mut self.context, op, work);
    }

    /// Begins to store a record.
    fn begin_put(
        &mut self,
        op: OpId,
        place: Place,
        value: Secret,
        expires_at: UnixMillis,
        key_pair: Option<PrivateKey>,
    ) {
        self.begin(op, async move |task| {
            match encrypted_store::put(&task, &place, &value, expires_at, key_pair).await {
                Err(Obstacle::Overtaken) => Input::Overtaken { op },
                stored => Input::Stored {
                    op,
                    ok: stored.is_ok(),
                },
            }
        });
    }

    /// Sets the timer for the next tick of the core. If the current timer fires before that tick is due, the timer is
    /// not replaced: most inputs postpone the next tick, and setting a timer costs more than a tick without effect.
    fn set_timer(&mut self, now: Instant) {
        let Some(at) = self.vault.next_tick(now) else {
            return;
        };
        if let Some(timer) = &self.timer {
            if timer.at <= at {
                return;
            }
            self.context.scope.clear_timeout_with_handle(timer.handle);
        }
        // Browsers store the delay in 32 bits, so the delay is limited. A tick that fires early does no harm.
        let delay = at.saturating_sub(now.monotonic).0.min(1_000_000_000) + 1;
        let tick = self.context.listener(Event::Tick, 0);
        let handle = self
            .context
            .scope
            .set_timeout_with_callback_and_timeout_and_arguments_0(&tick, delay as i32);
        self.timer = handle.ok().map(|handle| Timer { handle, at });
    }

    fn now(&self) -> Instant {
        let elapsed = self.clock.as_ref().map_or(0.0, Performance::now);
        Instant {
            // A worker's monotonic clock starts with the worker. A stored session may have begun before the worker, and
            // the monotonic time of its beginning must not be negative.
            monotonic: Millis(elapsed as u64 + LONG_AGO),
            // The cast turns a time before 1970 into 0.
            wall: platform::wall_clock() as u64,
        }
    }
}

/// The offset that `now` adds to the worker's monotonic time, in milliseconds. The offset is longer than any session
/// lasts.
const LONG_AGO: u64 = 1 << 40;

/// Returns the name of the session's record. The name contains the issuer and the client, because several apps may
/// share an origin.
fn session_name(config: &Config) -> String {
    if config.stores_sessions() {
        ["session ", &config.flow.key()].concat()
    } else {
        String::new()
    }
}
