//! The context: state that every part of the vault needs and that follows no rule of its own.
//!
//! It holds the configuration, the time, the session, the connected pages and the operations in flight, and it
//! collects outputs. Parts take `&mut Context` and never see each other through it.

use crate::prelude::*;

use crate::base::clock::{Instant, Millis, UnixMillis};
use crate::base::error::{Code, Error};
use crate::base::http::{HttpRequest, Outcome};
use crate::codec::base64url;
use crate::codec::json::Writer;
use crate::config::{Config, HAS_PERSISTENCE};
use crate::session::{self, EndReason, Session};
use crate::vault::io::{CallId, Entropy, OpId, Output, PortId, RequestId};
use crate::vault::message::{self, message};

/// True if this build has an inspector.
pub(super) const HAS_INSPECTOR: bool = cfg!(feature = "extended");

/// State that all parts share. See the [module](self).
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) entropy: Box<dyn Entropy>,
    /// The time of the input that is being handled.
    pub(super) now: Instant,
    pub(super) outputs: Vec<Output>,
    /// Connected pages. The page that was silent for the longest time comes first.
    pub(super) ports: Vec<PortId>,
    pub(super) session: Option<Box<Session>>,
    pub(super) end_reason: Option<EndReason>,
    /// True if the provider seems to have ended the grant without saying so.
    pub(super) is_suspected: bool,
    /// True if the last write, or the last read under the lock, failed.
    pub(super) is_store_failing: bool,
    /// True if the store has been read. Until then no page is greeted.
    pub(super) has_read_store: bool,
    /// Set while the vault does not know if the session is still alive: the idle limit has passed since the last
    /// activity that this vault knows, but the user may have been active in another vault. True if the user was active
    /// here since then, which counts if the limit turns out not to have been reached.
    pub(super) doubt: Option<bool>,
    /// True if a user is signed in in another vault and not here; `None` if nothing is known.
    pub(super) elsewhere: Option<bool>,
    /// Salt of the inspector's fingerprints.
    pub(super) fingerprint_salt: [u8; 16],
    /// Provider's clock minus the device's, in milliseconds, where the provider's `Date` is readable.
    pub(super) clock_offset: i64,
    shown_warnings: Vec<Code>,
    operations: Vec<Operation>,
    last_op: OpId,
}

/// An operation that the host performs.
struct Operation {
    op: OpId,
    purpose: Purpose,
    /// The time at which the operation is given up: a provider or store that hangs must not block a page.
    deadline: Option<Millis>,
}

/// The purpose of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Metadata,
    Keys,
    /// Checks that the provider can be reached, by an uncached request for its metadata or keys.
    Probe,
    /// Checks that the provider can be reached, for a login whose push got no readable response.
    ProbeForLogin,
    MakeKey,
    Push,
    AskDevice,
    PollDevice,
    StoreLogin,
    TakeLogin,
    Exchange,
    VerifyLogin,
    Refresh,
    VerifyRefresh,
    PersistRefresh,
    Revoke,
    /// Reads the store without the lock.
    ReadUnlocked,
    Lock,
    /// Reads the store under the lock.
    ReadLocked,
    Write,
    /// Writes a mark next to a stored session: the session has ended.
    Mark,
}

impl Purpose {
    /// Returns true for requests to the token endpoint that may bring tokens.
    const fn brings_tokens(self) -> bool {
        matches!(self, Self::Exchange | Self::Refresh | Self::PollDevice)
    }
}

impl Context {
    pub(super) fn new(config: Config, mut entropy: Box<dyn Entropy>) -> Self {
        let mut fingerprint_salt = [0; 16];
        if HAS_INSPECTOR {
            entropy.fill(&mut fingerprint_salt);
        }
        Self {
            config,
            entropy,
            now: Instant::default(),
            outputs: Vec::new(),
            ports: Vec::new(),
            session: None,
            end_reason: None,
            is_suspected: false,
            is_store_failing: false,
            has_read_store: false,
            doubt: None,
            elsewhere: None,
            fingerprint_salt,
            clock_offset: 0,
            shown_warnings: Vec::new(),
            operations: Vec::new(),
            last_op: OpId(0),
        }
    }

    /// Returns random bytes.
    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// Returns the time for claims: the provider's if it is known, otherwise the device's.
    pub(super) fn provider_seconds(&self) -> u64 {
        self.now.wall.saturating_add_signed(self.clock_offset) / 1000
    }

    /// Records the provider's clock. Only responses to POST requests are certainly fresh; others may be cached.
    pub(super) fn record_server_time(&mut self, purpose: Purpose, outcome: &Outcome) {
        if let Outcome::Reply(reply) = outcome
            && let Some(date) = reply.date
            && purpose.brings_tokens()
        {
            self.clock_offset = date.cast_signed() - self.now.wall.cast_signed();
        }
    }

    // Operations.

    pub(super) fn begin_operation(&mut self, purpose: Purpose, deadline: Option<Millis>) -> OpId {
        self.last_op = self.last_op.next();
        self.operations.push(Operation {
            op: self.last_op,
            purpose,
            deadline,
        });
        self.last_op
    }

    /// Begins an operation that is given up after the longest time that a request to the provider may take.
    pub(super) fn begin_limited(&mut self, purpose: Purpose) -> OpId {
        let deadline = self.now.monotonic + self.config.request_timeout;
        self.begin_operation(purpose, Some(deadline))
    }

    /// Continues an operation that has ended, with a new deadline.
    pub(super) fn resume_operation(&mut self, op: OpId, purpose: Purpose) {
        let deadline = Some(self.now.monotonic + self.config.request_timeout);
        self.operations.push(Operation {
            op,
            purpose,
            deadline,
        });
    }

    /// Ends an operation and returns its purpose. `None` if it has ended before, or never began.
    pub(super) fn finish_operation(&mut self, op: OpId) -> Option<Purpose> {
        let i = self.operations.iter().position(|o| o.op == op)?;
        Some(self.operations.swap_remove(i).purpose)
    }

    /// Ends an operation whose deadline has passed.
    pub(super) fn expire_operation(&mut self) -> Option<(OpId, Purpose)> {
        let now = self.now.monotonic;
        let is_over = |o: &Operation| o.deadline.is_some_and(|at| at <= now);
        let i = self.operations.iter().position(is_over)?;
        let Operation { op, purpose, .. } = self.operations.swap_remove(i);
        self.outputs.push(Output::Cancel { op });
        Some((op, purpose))
    }

    /// Moves the deadline of an operation to `at`, if that is earlier.
    pub(super) fn shorten_deadline(&mut self, op: OpId, at: Millis) {
        if let Some(operation) = self.operations.iter_mut().find(|o| o.op == op) {
            operation.deadline = operation.deadline.map(|deadline| deadline.min(at));
        }
    }

    /// Returns true if an operation of this kind is in flight.
    pub(super) fn is_in_flight(&self, purpose: Purpose) -> bool {
        self.operations.iter().any(|o| o.purpose == purpose)
    }

    pub(super) fn for_each_deadline(&self, see: &mut dyn FnMut(Millis)) {
        for operation in &self.operations {
            operation.deadline.map(&mut *see);
        }
    }

    /// Sends a request to the provider.
    pub(super) fn send(&mut self, purpose: Purpose, request: HttpRequest) -> OpId {
        let op = self.begin_limited(purpose);
        self.outputs.push(Output::Send { op, request });
        op
    }

    /// Sends a GET for which a response in the browser's cache is not enough.
    pub(super) fn get(&mut self, purpose: Purpose, url: String) -> OpId {
        let request = HttpRequest {
            proof: None,
            url,
            form: None,
            keepalive: false,
        };
        self.send(purpose, request)
    }

    // Messages to pages.

    pub(super) fn post(&mut self, port: PortId, text: String) {
        self.outputs.push(Output::Post { port, text });
    }

    pub(super) fn post_error(&mut self, port: PortId, id: RequestId, error: &Error) {
        self.post(port, message::error(id, error));
    }

    /// Refuses a page's request.
    #[inline(never)]
    pub(super) fn decline(&mut self, port: PortId, id: RequestId, code: Code, why: &str) {
        self.post_error(port, id, &Error::new(code, why));
    }

    pub(super) fn post_done(
        &mut self,
        port: PortId,
        id: RequestId,
        url: Option<&str>,
        is_revoked: bool,
    ) {
        let mut done = message("done");
        done.number("id", id.0)
            .optional_text("url", url)
            .flag("revoked", is_revoked);
        self.post(port, done.finish());
    }

    pub(super) fn broadcast(&mut self, text: &str) {
        // control: every_page_is_notified
        for i in 0..self.ports.len() {
            self.post(self.ports[i], text.to_owned());
        }
    }

    /// Tells all pages what they may know of the session.
    pub(super) fn broadcast_session(&mut self) {
        if self.is_loading() {
            return;
        }
        let text = self.session_message(&mut message("session"));
        self.broadcast(&text);
    }

    /// Ends a message with what a page may know of the session.
    pub(super) fn session_message(&self, message: &mut Writer) -> String {
        let view = self
            .session
            .as_ref()
            .map(|s| session::view(s, &self.config, self.is_kept(), self.is_suspected));
        let reason = self.end_reason.map(EndReason::as_str);
        if let Some(elsewhere) = self.elsewhere {
            message.flag("elsewhere", elsewhere);
        }
        message
            .json("session", view.as_deref().unwrap_or("null"))
            .optional_text("reason", reason)
            .finish()
    }

    /// Tells the host to discard a call and its body.
    pub(super) fn drop_call(&mut self, call: CallId) {
        self.outputs.push(Output::Drop { call });
    }

    /// Takes a page off the list. Returns true if the page was on the list.
    pub(super) fn forget_port(&mut self, port: PortId) -> bool {
        let place = self.ports.iter().position(|known| *known == port);
        place.map(|i| self.ports.remove(i)).is_some()
    }

    // The session.

    /// Returns true if sessions are persisted.
    pub(super) const fn keeps(&self) -> bool {
        HAS_PERSISTENCE && self.config.keeps
    }

    /// Returns whether the store accepts the session. `None` if sessions are not persisted.
    fn is_kept(&self) -> Option<bool> {
        self.keeps().then_some(!self.is_store_failing)
    }

    /// Returns true if calls must wait until it is known if the session is still alive.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.keeps() && self.doubt.is_some()
    }

    /// Returns true while pages must wait for the first read of the store.
    pub(super) const fn is_loading(&self) -> bool {
        self.keeps() && !self.has_read_store
    }

    /// Returns the time until which something written now may be needed.
    pub(super) fn kept_until(&self) -> UnixMillis {
        self.now.wall.saturating_add(self.config.limits.absolute.0)
    }

    /// Returns an id for a new session.
    pub(super) fn new_sid(&mut self) -> String {
        if !self.keeps() {
            return String::new();
        }
        base64url::encode(&self.random::<16>())
    }

    /// Returns the error for a call without a session.
    pub(super) fn no_session(&self) -> Error {
        let why = match self.end_reason {
            None => [msg!("there is no session"), ""],
            Some(reason) => [msg!("the session has ended: "), reason.as_str()],
        };
        Error::of(Code::LoginRequired, &why)
    }

    // Developers.

    /// Reports a warning: to inspectors each time, and to the page at `port` only the first time that its code occurs.
    pub(super) fn warn_developer(&mut self, port: Option<PortId>, warning: &Error) {
        let code = warning.code();
        self.trace(code.as_str(), Some(warning.message()));
        let Some(port) = port else {
            return;
        };
        if self.shown_warnings.contains(&code) {
            return;
        }
        self.shown_warnings.push(code);
        let text = message("warning")
            .text("warning", code.as_str())
            .text("message", warning.message())
            .finish();
        self.post(port, text);
    }

    /// Returns true if inspectors may listen.
    pub(super) const fn is_inspected(&self) -> bool {
        self.config.may_inspect()
    }

    /// Reports an event that concerns no call.
    pub(super) fn trace(&mut self, event: &'static str, detail: Option<&str>) {
        self.trace_members(event, None, None, None, detail);
    }

    /// Reports an event that concerns the tokens of the current generation.
    pub(super) fn trace_generation(&mut self, event: &'static str) {
        let generation = self.session.as_deref().map(Session::generation);
        self.trace_members(event, None, None, generation, None);
    }

    /// Reports an event that concerns a call.
    pub(super) fn trace_call(
        &mut self,
        event: &'static str,
        call: CallId,
        status: Option<u16>,
        detail: Option<&str>,
    ) {
        self.trace_members(event, Some(call), status, None, detail);
    }

    fn trace_members(
        &mut self,
        event: &'static str,
        call: Option<CallId>,
        status: Option<u16>,
        generation: Option<u64>,
        detail: Option<&str>,
    ) {
        if !self.is_inspected() {
            return;
        }
        let text = message("trace")
            .number("at", self.now.wall)
            .text("event", event)
            .optional_number("call", call.map(|call| call.0.into()))
            .optional_number("status", status.map(u64::from))
            .optional_number("generation", generation)
            .optional_text("detail", detail)
            .finish();
        self.broadcast(&text);
    }
}
