//! The loop: what happens goes into the core, and what comes out is carried out, until nothing more
//! comes. Everything that takes time reports back as another input.

use crate::prelude::*;
use alloc::rc::Rc;
use core::cell::RefCell;

use core::time::Duration;

use js_sys::Date;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{AbortController, MessageEvent, MessagePort, ReadableStream, WorkerGlobalScope};

use super::call::Calls;
use super::seal::Store;
use super::{js, provider, signature};
use crate::clock::Now;
use crate::config::Config;
use crate::vault::{Body, CallId, Entropy, Input, OpId, Output, PortId, Vault};

/// A vault that runs in this worker.
#[derive(Clone)]
pub struct Host(Rc<Inner>);

struct Inner {
    state: RefCell<State>,
    calls: Calls,
    store: Store,
    scope: WorkerGlobalScope,
    on_timer: RefCell<Option<Closure<dyn FnMut()>>>,
}

struct State {
    vault: Vault,
    ports: Vec<Port>,
    /// Requests to the provider, so that they can be given up.
    requests: Vec<(OpId, AbortController)>,
    last_port: PortId,
    last_call: CallId,
    timer: Option<i32>,
}

struct Port {
    id: PortId,
    port: MessagePort,
    /// Kept alive as long as the port is.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

/// The platform's random numbers.
struct PlatformEntropy;

impl Entropy for PlatformEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        // Without random numbers nothing here is safe: stop, rather than go on with zeros.
        getrandom::fill(octets).expect("the platform has random numbers");
    }
}

impl Host {
    /// Starts a vault.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let host = Self(Rc::new(Inner {
            state: RefCell::new(State {
                vault: Vault::new(config, Box::new(PlatformEntropy)),
                ports: Vec::new(),
                requests: Vec::new(),
                last_port: 0,
                last_call: 0,
                timer: None,
            }),
            calls: Calls::default(),
            store: Store::default(),
            scope: js::scope(),
            on_timer: RefCell::new(None),
        }));
        let ticking = host.clone();
        let on_timer = Closure::new(move || {
            ticking.0.state.borrow_mut().timer = None;
            ticking.handle(Input::Tick);
        });
        *host.0.on_timer.borrow_mut() = Some(on_timer);
        host.listen_for_wake_up();
        host
    }

    fn listen_for_wake_up(&self) {
        let host = self.clone();
        let on_online = Closure::<dyn FnMut()>::new(move || host.handle(Input::Woke));
        let listener = on_online.as_ref().unchecked_ref();
        // Without the event a retry comes a little later.
        let _ = self
            .0
            .scope
            .add_event_listener_with_callback("online", listener);
        // The vault lives as long as its worker.
        on_online.forget();
    }

    /// Serves a page.
    pub fn connect(&self, port: MessagePort) {
        let mut state = self.0.state.borrow_mut();
        state.last_port += 1;
        let id = state.last_port;
        let host = self.clone();
        let on_message = Closure::new(move |event: MessageEvent| host.message(id, &event.data()));
        // This starts the port, and with it what the page sent meanwhile.
        port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        state.ports.push(Port {
            id,
            port,
            _on_message: on_message,
        });
    }

    fn message(&self, port: PortId, data: &JsValue) {
        if let Some(id) = data.as_f64() {
            return self.more_of_body(port, id);
        }
        let call = {
            let mut state = self.0.state.borrow_mut();
            state.last_call += 1;
            state.last_call
        };
        // What is no array with a text first becomes a text that cannot be read, and is told so.
        let text = js::get(data, "0").as_string().unwrap_or_default();
        let payload = js::get(data, "1");
        let body = if payload.is_instance_of::<ReadableStream>() {
            Body::OneShot
        } else {
            Body::Replayable
        };
        if !payload.is_undefined() {
            self.0.calls.keep_body(call, payload);
        }
        self.handle(Input::Message {
            port,
            call,
            text: &text,
            body,
        });
    }

    fn more_of_body(&self, port: PortId, id: f64) {
        self.0.calls.grant(self, port, id);
    }

    /// Puts `input` into the core and carries out what comes out.
    pub(super) fn handle(&self, input: Input<'_>) {
        let now = self.now();
        self.0.state.borrow_mut().vault.handle(now, input);
        loop {
            let output = self.0.state.borrow_mut().vault.poll();
            match output {
                Some(output) => self.carry_out(output),
                None => break,
            }
        }
        self.set_timer(now);
    }

    fn now(&self) -> Now {
        let monotonic = self.0.scope.performance().map_or(0.0, |p| p.now());
        Now {
            monotonic: Duration::from_secs_f64(monotonic / 1000.0),
            // Dates before 1970 become 1970.
            wall: Date::now() as u64,
        }
    }

    fn carry_out(&self, output: Output) {
        match output {
            Output::Post { port, text } => self.post(port, &js::control(&text)),
            Output::Close { port } => {
                let mut state = self.0.state.borrow_mut();
                if let Some(i) = state.ports.iter().position(|p| p.id == port) {
                    // Not dropped here: its handler may be what is running.
                    let gone = state.ports.swap_remove(i);
                    gone.port.close();
                    spawn_local(async move { drop(gone) });
                }
            }
            Output::Send { op, request } => {
                let Ok(controller) = AbortController::new() else {
                    return;
                };
                let signal = controller.signal();
                self.0.state.borrow_mut().requests.push((op, controller));
                let (host, scope) = (self.clone(), self.0.scope.clone());
                spawn_local(async move {
                    let outcome = provider::send(&scope, request, &signal).await;
                    host.forget_request(op);
                    host.handle(Input::Answered { op, outcome });
                });
            }
            Output::Cancel { op } => {
                if let Some(controller) = self.forget_request(op) {
                    controller.abort();
                }
            }
            Output::Store {
                op,
                key,
                value,
                expires_at,
            } => {
                let host = self.clone();
                spawn_local(async move {
                    let ok = host.0.store.put(&key, &value, expires_at).await.is_ok();
                    host.handle(Input::Stored { op, ok });
                });
            }
            Output::Take { op, key } => {
                let host = self.clone();
                spawn_local(async move {
                    let taken = host.0.store.take(&key).await;
                    host.handle(Input::Taken { op, taken });
                });
            }
            Output::Verify {
                op,
                algorithm,
                jwk,
                signing_input,
                signature,
            } => {
                let (host, scope) = (self.clone(), self.0.scope.clone());
                spawn_local(async move {
                    let verified =
                        signature::verify(&scope, algorithm, &jwk, &signing_input, &signature);
                    let valid = verified.await.unwrap_or(false);
                    host.handle(Input::Verified { op, valid });
                });
            }
            Output::Persist { op, .. } => {
                // A session in memory has nothing to wait for.
                let host = self.clone();
                spawn_local(async move { host.handle(Input::Stored { op, ok: true }) });
            }
            Output::Call {
                call,
                port,
                id,
                request,
            } => self.0.calls.send(self, call, (port, id), request),
            Output::Deliver { call, text } => self.0.calls.deliver(self, call, &text),
            Output::Drop { call } => self.0.calls.forget(call),
        }
    }

    fn forget_request(&self, op: OpId) -> Option<AbortController> {
        let mut state = self.0.state.borrow_mut();
        let i = state.requests.iter().position(|(o, _)| *o == op)?;
        Some(state.requests.swap_remove(i).1)
    }

    fn set_timer(&self, now: Now) {
        let mut state = self.0.state.borrow_mut();
        if let Some(timer) = state.timer.take() {
            self.0.scope.clear_timeout_with_handle(timer);
        }
        let Some(at) = state.vault.next_tick(now) else {
            return;
        };
        // Browsers count in 32 bits. Waking early does no harm.
        let delay = at.saturating_sub(now.monotonic).as_millis() + 1;
        let delay = i32::try_from(delay).unwrap_or(i32::MAX);
        if let Some(on_timer) = &*self.0.on_timer.borrow() {
            let callback = on_timer.as_ref().unchecked_ref();
            let scope = &self.0.scope;
            state.timer = scope
                .set_timeout_with_callback_and_timeout_and_arguments_0(callback, delay)
                .ok();
        }
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.0.calls
    }

    pub(super) fn scope(&self) -> &WorkerGlobalScope {
        &self.0.scope
    }

    /// Posts to a page. One that is gone is not told anything.
    pub(super) fn post(&self, port: PortId, message: &JsValue) {
        let state = self.0.state.borrow();
        if let Some(known) = state.ports.iter().find(|p| p.id == port) {
            let _ = known.port.post_message(message);
        }
    }

    /// Posts to a page and hands over `transfer`.
    pub(super) fn post_transferring(&self, port: PortId, message: &JsValue, transfer: &JsValue) {
        let state = self.0.state.borrow();
        if let Some(known) = state.ports.iter().find(|p| p.id == port) {
            let _ = known.port.post_message_with_transferable(message, transfer);
        }
    }
}
