//! Everything that all parts of the host may use: the worker's global object, its pages, and the way events come back.

use crate::prelude::*;
use js_sys::{Array, Function};
use wasm_bindgen::JsValue;
use web_sys::MessagePort;

use crate::browser::dpop::Keys;
use crate::browser::escrow::Escrow;
use crate::browser::platform::{Awaited, OnEvent, WorkerScope};
use crate::vault::{Input, PortId};

/// Number of a promise or request that a part of the host waits for. No number is used twice, and 0 is never used.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WaitId(pub(super) u32);

/// No wait is pending.
pub(super) const NO_WAIT: WaitId = WaitId(0);

/// The events: the first argument of `onEvent`.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// The page at port `id` sent a message.
    Message,
    /// The promise of wait `id` is fulfilled.
    Fulfilled,
    /// The IndexedDB request of wait `id` has succeeded.
    Succeeded,
    /// The promise or request of wait `id` has failed.
    Failed,
    /// The database is new.
    Upgrade,
    /// The timer fired.
    Tick,
    /// Operation `id` has the lock.
    Locked,
    /// Another vault has changed the store.
    Changed,
    /// Another vault has posted a hint.
    Hinted,
    /// The browser does not give operation `id` the lock.
    Refused,
    /// The worker's Content-Security-Policy was violated.
    PolicyViolated,
    /// The probe for the socket of call `id` has ended.
    ProbeEnded,
    /// The socket of call `id` is open.
    SocketOpened,
    /// The socket of call `id` received a message.
    SocketReceived,
    /// The socket of call `id` failed.
    SocketFailed,
    /// The socket of call `id` is closed.
    SocketClosed,
    /// The page of the socket of call `id` sent something.
    PageSent,
}

impl Event {
    const ALL: [Self; 17] = [
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
        Self::PolicyViolated,
        Self::ProbeEnded,
        Self::SocketOpened,
        Self::SocketReceived,
        Self::SocketFailed,
        Self::SocketClosed,
        Self::PageSent,
    ];

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// The state that the parts of the host share.
pub(super) struct Context {
    pub(super) scope: WorkerScope,
    on_event: OnEvent,
    /// The keys that tokens are bound to.
    pub(super) keys: Keys,
    /// The key of kept sessions, if it is in escrow.
    pub(super) escrow: Option<Escrow>,
    ports: Vec<(PortId, MessagePort)>,
    last_port: PortId,
    last_wait: WaitId,
    /// Inputs for the core that arose while the host carried out the core's outputs.
    reports: Vec<Input<'static>>,
}

impl Context {
    pub(super) fn new(scope: WorkerScope, on_event: OnEvent, is_escrowed: bool) -> Self {
        Self {
            escrow: Escrow::new(&scope, is_escrowed),
            scope,
            on_event,
            keys: Keys::default(),
            ports: Vec::new(),
            last_port: PortId(0),
            last_wait: NO_WAIT,
            reports: Vec::new(),
        }
    }

    /// Returns a function that reports `event`.
    pub(super) fn listener(&self, event: Event, id: u32) -> Function {
        self.on_event.bind(&JsValue::NULL, event as u32, id)
    }

    /// Adds listeners that report the end of `awaited` under the number returned.
    pub(super) fn wait(&mut self, awaited: &Awaited) -> WaitId {
        self.last_wait.0 += 1;
        let wait = self.last_wait;
        awaited.listen(
            || self.listener(Event::Fulfilled, wait.0),
            || self.listener(Event::Succeeded, wait.0),
            &self.listener(Event::Failed, wait.0),
        );
        wait
    }

    /// Keeps `report` until the core can handle it.
    pub(super) fn report(&mut self, report: Input<'static>) {
        self.reports.push(report);
    }

    pub(super) fn next_report(&mut self) -> Option<Input<'static>> {
        self.reports.pop()
    }

    /// Serves a page.
    pub(super) fn add_port(&mut self, port: MessagePort) {
        self.last_port = self.last_port.next();
        // This starts the port, which has queued the page's first messages.
        port.set_onmessage(Some(&self.listener(Event::Message, self.last_port.0)));
        self.ports.push((self.last_port, port));
    }

    pub(super) fn close_port(&mut self, port: PortId) {
        if let Some(i) = self.ports.iter().position(|(p, _)| *p == port) {
            self.ports.swap_remove(i).1.close();
        }
    }

    /// Posts to a page, and transfers the objects in the array `transfer`. Does nothing if the page is gone.
    pub(super) fn post(&self, port: PortId, message: &Array, transfer: &JsValue) {
        if let Some((_, port)) = self.ports.iter().find(|(p, _)| *p == port) {
            // A message that cannot be cloned is dropped.
            let _ = port.post_message_with_transferable(message, transfer);
        }
    }
}

/// The state of an operation after a step.
pub(super) enum Progress {
    /// The operation's next step, which runs when the platform's promise is done.
    Wait(Awaited),
    /// Nothing: this is its result.
    Done(Input<'static>),
}
