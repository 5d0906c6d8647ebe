//! The state that the parts of the host share: the worker's global object, the connected pages, and the function that
//! receives all events.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::ops::Deref;
use js_sys::{Array, Function};
use rules::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::MessagePort;

use crate::dpop::Keys;
use crate::escrow::Escrow;
use crate::platform::{Awaited, OnEvent, VaultDatabase, WorkerScope};
use rules::base::list::{self, List};
use vault::config::Persist;
use vault::{Input, PortId};

/// The number of a promise, or of a request or transaction of IndexedDB, that a part of the host waits for. No number
/// is used twice. No wait has the number 0.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WaitId(pub(super) u32);

/// The wait number of a call that waits for nothing.
pub(super) const NO_WAIT: WaitId = WaitId(0);

/// The kinds of events. The position of the variant is the first argument of `onEvent`, and `id` is the second.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// The page at port `id` sent a message.
    Message,
    /// The promise with the wait number `id` is fulfilled.
    Fulfilled,
    /// The IndexedDB request or transaction with the wait number `id` has succeeded.
    Succeeded,
    /// The promise, request or transaction with the wait number `id` has failed.
    Failed,
    /// The timer fired.
    Tick,
    /// The browser granted the store's lock to operation `id`.
    Locked,
    /// Another vault has changed the store that both vaults share.
    Changed,
    /// Another vault has posted a hint.
    Hinted,
    /// The browser refused the store's lock to operation `id`.
    Refused,
    /// Another vault has taken the store's lock over.
    LockLost,
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
    /// The page sent a message on the port of the socket of call `id`.
    PageSent,
    /// The receiver of the response to call `id` sent a message.
    ReceiverSent,
}

impl Event {
    const ALL: [Self; 18] = [
        Self::Message,
        Self::Fulfilled,
        Self::Succeeded,
        Self::Failed,
        Self::Tick,
        Self::Locked,
        Self::Changed,
        Self::Hinted,
        Self::Refused,
        Self::LockLost,
        Self::PolicyViolated,
        Self::ProbeEnded,
        Self::SocketOpened,
        Self::SocketReceived,
        Self::SocketFailed,
        Self::SocketClosed,
        Self::PageSent,
        Self::ReceiverSent,
    ];

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// The state that the host shares with its operations in flight.
pub(super) struct Shared {
    pub(super) scope: WorkerScope,
    on_event: OnEvent,
    pub(super) database: VaultDatabase,
    /// The DPoP keys of tokens.
    pub(super) keys: RefCell<Keys>,
    /// The escrow for the key that encrypts stored sessions, if the configuration has one.
    pub(super) escrow: Option<RefCell<Escrow>>,
    /// The versions of the session's record that this vault knows: the one that it last read under the lock, and those
    /// that it has written since. `None` stands for a record without a version, from an older build.
    pub(super) known_versions: RefCell<Vec<Option<f64>>>,
}

impl Shared {
    /// Returns a function that passes `event` and `id` to `onEvent`.
    pub(super) fn listener(&self, event: Event, id: u32) -> Function {
        self.on_event.bind(&JsValue::NULL, event as u32, id)
    }
}

/// The state of the host's loop.
pub(super) struct Context {
    pub(super) shared: Rc<Shared>,
    ports: List<(PortId, MessagePort)>,
    last_port: PortId,
    last_wait: WaitId,
    /// Inputs that the core has not handled yet.
    reports: Vec<Input<'static>>,
}

impl Context {
    pub(super) fn new(
        scope: WorkerScope,
        on_event: OnEvent,
        database: VaultDatabase,
        persist: Persist,
    ) -> Self {
        let escrow = (persist == Persist::Escrow).then(|| RefCell::new(Escrow::new(&scope)));
        Self {
            shared: Rc::new(Shared {
                scope,
                on_event,
                database,
                keys: RefCell::default(),
                escrow,
                known_versions: RefCell::default(),
            }),
            ports: Vec::new(),
            last_port: PortId(0),
            last_wait: NO_WAIT,
            reports: Vec::new(),
        }
    }

    /// Adds listeners that report the end of `awaited` with the returned number.
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

    /// Starts a timer that fires after `ms` milliseconds with the returned number, as a promise that is fulfilled.
    pub(super) fn wait_for(&mut self, ms: i32) -> WaitId {
        self.last_wait.0 += 1;
        let fired = self.listener(Event::Fulfilled, self.last_wait.0);
        let timer = self
            .scope
            .set_timeout_with_callback_and_timeout_and_arguments_0(&fired, ms);
        timer.map_or(NO_WAIT, |_| self.last_wait)
    }

    /// Keeps `report` until the core can handle it.
    pub(super) fn report(&mut self, report: Input<'static>) {
        self.reports.push(report);
    }

    pub(super) fn next_report(&mut self) -> Option<Input<'static>> {
        self.reports.pop()
    }

    /// Starts to receive the messages of a page.
    pub(super) fn add_port(&mut self, port: MessagePort) -> PortId {
        self.last_port = self.last_port.next();
        // Setting the listener also starts the port, which has queued the page's first messages.
        port.set_onmessage(Some(&self.listener(Event::Message, self.last_port.0)));
        self.ports.push(Box::new((self.last_port, port)));
        self.last_port
    }

    pub(super) fn close_port(&mut self, port: PortId) {
        if let Some(page) = list::take(&mut self.ports, |(p, _)| *p == port) {
            page.1.close();
        }
    }

    /// Posts `message` to a page, and transfers the objects in the array `transfer`. Does nothing if the page is gone.
    pub(super) fn post(&self, port: PortId, message: &Array, transfer: &JsValue) {
        if let Some((_, port)) = self
            .ports
            .iter()
            .map(|page| &**page)
            .find(|(p, _)| *p == port)
        {
            // A message that cannot be cloned is dropped.
            let _ = port.post_message_with_transferable(message, transfer);
        }
    }
}

impl Deref for Context {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
