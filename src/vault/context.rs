//! The context: the state that all parts of the vault share. The context has no rules of its own.
//!
//! The context holds the configuration, the time, the session, the connected pages and the operations in flight, and it
//! collects the outputs. Parts take `&mut Context`. A part cannot reach another part through the context.

use rules::prelude::*;

use crate::config::Config;
use crate::io::{CallId, OpId, Output, PortId, RequestId};
use crate::line::{Doubt, Exchange, Line};
use crate::message::{self, message};
use rules::base::clock::{Instant, Millis, UnixMillis};
use rules::base::entropy::Entropy;
use rules::base::error::{Code, Error};
use rules::base::http::{HttpRequest, Outcome};
use rules::base::list::{self, List};
use rules::codec::base64url;
use rules::codec::json::Writer;
use rules::session::{self, EndReason, SearchedTokens, Session};

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
    /// The access tokens that responses and sockets are searched for.
    pub(super) searched: SearchedTokens,
    pub(super) end_reason: Option<EndReason>,
    /// True if the provider keeps refusing the refresh token without a usable error code, so that the grant may have
    /// ended.
    pub(super) is_suspected: bool,
    /// True if the last write, or the last read under the lock, failed.
    pub(super) is_store_failing: bool,
    /// True if the store has been read once. Before that, no page gets the message `ready`.
    pub(super) has_read_store: bool,
    /// This member is `Some` while the vault does not know if the session is still alive: the idle limit has passed
    /// since the last activity that this vault knows of, but the user may have been active in another vault. The value
    /// is true if the user has become active here since the doubt began. That activity counts only if a read of the
    /// store shows that the session is alive.
    pub(super) doubt: Option<bool>,
    /// True if a user signed in in another vault and not in this one. The value is `None` before the first hint of a
    /// sign-in or sign-out.
    pub(super) elsewhere: Option<bool>,
    /// The ports of pages of other origins.
    pub(super) framed: Vec<PortId>,
    /// The salt for the fingerprints of tokens in the inspector.
    pub(super) fingerprint_salt: [u8; 16],
    /// The provider's time minus the device's time, in milliseconds; 0 if the vault could not read the provider's
    /// `Date` header.
    pub(super) clock_offset: i64,
    pub(super) line: Line,
    shown_warnings: Vec<Code>,
    operations: List<Operation>,
    last_op: OpId,
    /// The operation that ended last.
    ended: Option<Box<Operation>>,
}

/// An operation that the host performs.
struct Operation {
    op: OpId,
    purpose: Purpose,
    began: Millis,
    /// The time at which the vault stops waiting for the operation: a provider or store that hangs must not block a
    /// page.
    deadline: Option<Millis>,
    /// The URL, if the operation is a request.
    url: Option<String>,
    /// True if neither a cache nor a service worker can have the response to the request.
    is_from_server: bool,
}

/// The purpose of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Metadata,
    Keys,
    /// Checks, for a refresh, that the provider can be reached, by an uncached request for its metadata or keys.
    Probe,
    /// Checks, before a refresh token is sent, that the line works: see [`crate::line`].
    ProveLine,
    /// Checks, for a login, that the provider can be reached, after a pushed authorization request got no readable
    /// response.
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
    /// Stores a mark that a session has ended. The mark is a separate record beside the stored session.
    Mark,
    AskProfile,
}

impl Purpose {
    /// Returns true if the operation is a request to the token endpoint that may return tokens.
    const fn brings_tokens(self) -> bool {
        matches!(self, Self::Exchange | Self::Refresh | Self::PollDevice)
    }

    /// Returns true if the URL of the request contains a nonce.
    const fn is_probe(self) -> bool {
        matches!(self, Self::Probe | Self::ProbeForLogin | Self::ProveLine)
    }
}

impl Context {
    pub(super) fn new(config: Config, mut entropy: Box<dyn Entropy>) -> Self {
        let mut fingerprint_salt = [0; 16];
        entropy.fill(&mut fingerprint_salt);
        Self {
            config,
            entropy,
            now: Instant::default(),
            outputs: Vec::new(),
            ports: Vec::new(),
            session: None,
            searched: SearchedTokens::default(),
            end_reason: None,
            is_suspected: false,
            is_store_failing: false,
            has_read_store: false,
            doubt: None,
            elsewhere: None,
            framed: Vec::new(),
            fingerprint_salt,
            clock_offset: 0,
            line: Line::default(),
            shown_warnings: Vec::new(),
            operations: Vec::new(),
            last_op: OpId(0),
            ended: None,
        }
    }

    /// Returns random bytes.
    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// Returns the time that is used to check and to create claims, in seconds. This is the provider's time if it is
    /// known, and otherwise the device's.
    pub(super) fn provider_seconds(&self) -> u64 {
        self.now.wall.saturating_add_signed(self.clock_offset) / 1000
    }

    /// Records the difference between the provider's clock and the device's. Only responses from the token endpoint
    /// count, because a response to a GET may come from a cache and have an old `Date`.
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
        self.add_operation(self.last_op, purpose, deadline);
        self.last_op
    }

    fn add_operation(&mut self, op: OpId, purpose: Purpose, deadline: Option<Millis>) {
        self.operations.push(Box::new(Operation {
            op,
            purpose,
            began: self.now.monotonic,
            deadline,
            url: None,
            is_from_server: false,
        }));
    }

    fn deadline(&self, purpose: Purpose) -> Option<Millis> {
        let limit = match purpose {
            Purpose::Refresh => self.config.flow.refresh_timeout,
            _ => self.config.flow.request_timeout,
        };
        Some(self.now.monotonic + limit)
    }

    /// Begins an operation with the time limit for requests to the provider.
    pub(super) fn begin_limited(&mut self, purpose: Purpose) -> OpId {
        let deadline = self.deadline(purpose);
        self.begin_operation(purpose, deadline)
    }

    /// Adds an operation that has ended to the operations in flight again, with the same number and a new deadline.
    pub(super) fn resume_operation(&mut self, op: OpId, purpose: Purpose) {
        self.add_operation(op, purpose, self.deadline(purpose));
    }

    /// Ends an operation and returns its purpose. Returns `None` if the operation has already ended, or never began.
    pub(super) fn finish_operation(&mut self, op: OpId) -> Option<Purpose> {
        let operation = list::take(&mut self.operations, |o| o.op == op)?;
        let purpose = operation.purpose;
        self.ended = Some(operation);
        Some(purpose)
    }

    /// Returns the operation that began last.
    pub(super) const fn last_operation(&self) -> OpId {
        self.last_op
    }

    /// Ends one operation whose deadline has passed, if there is one.
    pub(super) fn expire_operation(&mut self) -> Option<(OpId, Purpose)> {
        let now = self.now.monotonic;
        let is_over = |o: &Operation| o.deadline.is_some_and(|at| at <= now);
        let operation = list::take(&mut self.operations, is_over)?;
        let Operation { op, purpose, .. } = *operation;
        self.ended = Some(operation);
        self.outputs.push(Output::Cancel { op });
        Some((op, purpose))
    }

    /// Moves the deadline of an operation to `at`, if `at` is earlier.
    pub(super) fn shorten_deadline(&mut self, op: OpId, at: Millis) {
        if let Some(operation) = list::find(&mut self.operations, |o| o.op == op) {
            operation.deadline = operation.deadline.map(|deadline| deadline.min(at));
        }
    }

    /// Returns true if the operation that has just ended failed for a reason that may be over already.
    pub(super) fn may_be_brief(&self, outcome: &Outcome) -> bool {
        let ended = self.ended.as_ref();
        let took = ended.map_or(Millis::ZERO, |o| self.now.monotonic.saturating_sub(o.began));
        outcome.may_be_brief(took, self.config.flow.request_timeout)
    }

    /// Returns true if an operation of this kind is in flight.
    pub(super) fn is_in_flight(&self, purpose: Purpose) -> bool {
        self.operations.iter().any(|o| o.purpose == purpose)
    }

    /// Cancels an operation of this kind if it began before the last doubt about the line.
    pub(super) fn cancel_doubted(&mut self, purpose: Purpose) {
        let doubted = self.line.doubted();
        self.cancel_if(|o| o.purpose == purpose && Some(o.began) < doubted);
    }

    /// Cancels the operation for this purpose, if it is in flight.
    pub(super) fn cancel(&mut self, purpose: Purpose) {
        self.cancel_if(|o| o.purpose == purpose);
    }

    fn cancel_if(&mut self, is_it: impl Fn(&Operation) -> bool) {
        if let Some(operation) = list::take(&mut self.operations, is_it) {
            self.outputs.push(Output::Cancel { op: operation.op });
        }
    }

    pub(super) fn for_each_deadline(&self, see: &mut dyn FnMut(Millis)) {
        for operation in &self.operations {
            operation.deadline.map(&mut *see);
        }
    }

    /// Sends a request to the provider.
    pub(super) fn send(&mut self, purpose: Purpose, request: HttpRequest) -> OpId {
        let op = self.begin_limited(purpose);
        self.send_as(op, request);
        op
    }

    /// Sends a request to the provider for an operation that has begun.
    pub(super) fn send_as(&mut self, op: OpId, request: HttpRequest) {
        if let Some(operation) = list::find(&mut self.operations, |o| o.op == op) {
            operation.url = Some(request.url.clone());
            operation.is_from_server = request.method() == "POST" || operation.purpose.is_probe();
        }
        self.outputs.push(Output::Send { op, request });
    }

    /// Sends a GET request to the provider. The host does not accept a cached response without validation.
    pub(super) fn get(&mut self, purpose: Purpose, url: String) -> OpId {
        self.send(purpose, HttpRequest::get(url))
    }

    // The line.

    /// Records what the end of the last operation says about the line.
    pub(super) fn observe_line(&mut self, outcome: &Outcome) {
        let Some(operation) = &self.ended else {
            return;
        };
        let Some(url) = &operation.url else {
            return;
        };
        let exchange = Exchange {
            url,
            began: operation.began,
            is_from_server: operation.is_from_server,
        };
        let now = self.now.monotonic;
        match outcome {
            Outcome::Reply(_) => self.line.answered(now, exchange),
            Outcome::Failed | Outcome::Opaque => {
                let doubt = self.line.failed(now, exchange);
                self.report_doubt(doubt);
            }
            // Nothing was sent.
            Outcome::KeyLost => {}
        }
    }

    /// Reports a doubt about the line to the inspectors.
    pub(super) fn report_doubt(&mut self, doubt: Option<Doubt>) {
        if let Some(doubt) = doubt {
            self.trace("line_doubted", Some(doubt.as_str()));
        }
    }

    // Messages to pages.

    pub(super) fn post(&mut self, port: PortId, text: String) {
        self.outputs.push(Output::Post { port, text });
    }

    pub(super) fn post_error(&mut self, port: PortId, id: RequestId, error: &Error) {
        self.post(port, message::error(id, error));
    }

    /// Posts an error in response to a page's request.
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

    /// Posts the message `session` to all pages, unless they still wait for the first read of the store. The message
    /// contains the information about the session that pages may have.
    pub(super) fn broadcast_session(&mut self) {
        if self.is_loading() {
            return;
        }
        let text = self.session_message(&mut message("session"));
        self.broadcast(&text);
    }

    /// Completes a message with the information about the session that pages may have.
    pub(super) fn session_message(&self, message: &mut Writer) -> String {
        let view = self.session.as_ref().map(|s| {
            session::view(s, &self.config.flow, self.is_kept(), self.is_suspected).to_json()
        });
        let reason = self.end_reason.map(EndReason::seen_as);
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

    /// Removes a page from the list of connected pages. Returns true if the page was on the list.
    pub(super) fn forget_port(&mut self, port: PortId) -> bool {
        let place = self.ports.iter().position(|known| *known == port);
        place.map(|i| self.ports.remove(i)).is_some()
    }

    // The session.

    /// Returns true if the configuration persists sessions.
    pub(super) const fn stores_sessions(&self) -> bool {
        self.config.stores_sessions()
    }

    /// Returns true if the store accepts the session, and false if the store fails. Returns `None` if sessions are not
    /// persisted.
    fn is_kept(&self) -> Option<bool> {
        self.stores_sessions().then_some(!self.is_store_failing)
    }

    /// Returns true while calls must wait, because the vault does not know if the session is still alive: see
    /// [`Context::doubt`].
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.stores_sessions() && self.doubt.is_some()
    }

    /// Returns true while pages must wait for the first read of the store.
    pub(super) const fn is_loading(&self) -> bool {
        self.stores_sessions() && !self.has_read_store
    }

    /// Returns true if this session keeps a login of the user `subject` out of the account.
    pub(super) fn is_in_use(&self, session: &Session, subject: &str) -> bool {
        let limits = &self.config.flow.limits;
        self.config.accounts > 0
            && session.original().is_other_user(subject)
            && session.limit_reached(limits, &self.now).is_none()
    }

    /// If the session has a new access token, tells the host to search open responses and sockets for the tokens in `searched`.
    pub(super) fn search_for_new_tokens(&mut self) {
        if self.searched.update(self.session.as_deref(), &self.now) {
            let tokens = self.searched.with(None, &self.now);
            // control: open_responses_are_searched_for_new_tokens
            self.outputs.push(Output::Search { tokens });
        }
    }

    /// Returns the time until which a record that is stored now may be needed.
    pub(super) fn kept_until(&self) -> UnixMillis {
        self.now
            .wall
            .saturating_add(self.config.flow.limits.absolute.0)
    }

    /// Returns a random identifier for a new session, or an empty string if sessions are not persisted.
    pub(super) fn new_sid(&mut self) -> String {
        if !self.stores_sessions() {
            return String::new();
        }
        base64url::encode(&self.random::<16>())
    }

    /// Returns the error for a call without a session.
    pub(super) fn no_session(&self) -> Error {
        let why = match self.end_reason {
            None => [msg!("there is no session"), ""],
            Some(reason) => [msg!("the session has ended: "), reason.seen_as()],
        };
        Error::of(Code::LoginRequired, &why)
    }

    // Developers.

    /// Reports a warning. Inspectors get every warning. The page at `port` gets a warning only when its code occurs for
    /// the first time.
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
        self.post_warning(port, warning);
    }

    /// Posts a warning to the page at `port`.
    pub(super) fn post_warning(&mut self, port: PortId, warning: &Error) {
        let text = message("warning")
            .text("warning", warning.code().as_str())
            .text("message", warning.message())
            .finish();
        self.post(port, text);
    }

    /// Returns the tokens of the session, which no text in the worker's console may contain.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut secrets = Vec::new();
        if let Some(session) = &self.session {
            session.for_each_token(|_, token| secrets.push(token.expose()));
        }
        secrets
    }

    /// Writes the provider's description of an error to the worker's console. No page and no inspector gets it.
    pub(super) fn log(&mut self, description: Option<String>) {
        let texts = description.into_iter();
        self.outputs.extend(texts.map(|text| Output::Log { text }));
    }

    /// Returns true if the configuration allows the session inspector.
    pub(super) const fn is_inspected(&self) -> bool {
        self.config.may_inspect
    }

    /// Reports to the inspectors an event that does not belong to a call.
    pub(super) fn trace(&mut self, event: &'static str, detail: Option<&str>) {
        self.trace_members(event, None, None, None, detail);
    }

    /// Reports to the inspectors an event of the tokens, with the tokens' current generation.
    pub(super) fn trace_generation(&mut self, event: &'static str) {
        let generation = self.session.as_deref().map(Session::generation);
        self.trace_members(event, None, None, generation, None);
    }

    /// Reports to the inspectors an event of a call.
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
