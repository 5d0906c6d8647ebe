//! The task of one request.
//!
//! A task is written from top to bottom, as `async` functions that stop wherever the host has to do something. The
//! module needs no executor: [`Running::step`] polls once, and each poll reaches the next effect or the response.

pub(super) mod report;

use alloc::rc::Rc;
use core::cell::{Cell, OnceCell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use rules::prelude::*;

use crate::config::{Bind, Config};
use crate::event::Event;
use crate::io::{BEAT, Effect, FlightId, Reply, Response, Step};
use crate::isolate::Isolate;
use crate::isolate::lateness::Lateness;
use crate::refusal::Refusal;
use crate::request_id;
use crate::response;
use crate::session::Session;
use crate::session::record::Lease;
use rules::base::clock::{Instant, Mark, Millis, UnixMillis};
use rules::base::strings;

/// Tasks without a step for this long are removed if slots are needed, because a platform may drop a request without
/// notice.
const STALE: Millis = Millis::from_secs(600);

/// The bound cookie of a request, and the option that decides about it.
#[derive(Clone, Debug, Default)]
pub(super) struct BoundCookie {
    /// The option `session.bind`, which may depend on the request.
    pub(super) mode: Bind,
    /// The cookie's value, if the browser sent the cookie.
    pub(super) value: Option<String>,
    /// True if the browser could not renew the bound cookie.
    pub(super) was_skipped: bool,
    /// The cookie with which the registration may be offered a second time, if the browser sent it.
    pub(super) unbound: Option<String>,
    /// The cookie with which the registration is offered again after a failure, if the browser sent it.
    pub(super) bind_failed: Option<String>,
    /// True if the browser has bound a session before.
    pub(super) has_bound: bool,
}

/// The result of a request to the provider.
#[derive(Clone, Debug, Default)]
pub(super) struct ProviderResult {
    /// The status of the response, if there was one.
    pub(super) status: Option<u16>,
    /// The host's name of the failure, or an empty string.
    pub(super) cause: String,
}

/// The context of a request's functions: the isolate, the time, and the interface to the host.
#[derive(Clone)]
pub(super) struct Task(Rc<Inner>);

struct Inner {
    isolate: Rc<Isolate>,
    arrived: Instant,
    grace: Cell<Millis>,
    bound_cookie: RefCell<Rc<BoundCookie>>,
    /// The time of the last step by the machine's own clocks.
    now: Rc<Cell<Instant>>,
    /// The time that the last effect waits by a timer of the host.
    timer: Cell<Millis>,
    /// The sum of these times, of all effects whose timer has fired.
    waited: Cell<Millis>,
    /// The flight that this task is, if it is one.
    flight: Cell<Option<FlightId>>,
    lease: RefCell<Option<Lease>>,
    refreshed: Cell<Option<Result<Rc<Session>, Refusal>>>,
    keep_alive_count: Cell<u32>,
    effect: Cell<Option<Effect>>,
    reply: Cell<Option<Reply>>,
    /// The ID of the request.
    request_id: OnceCell<Rc<str>>,
    /// The session of the request.
    session: RefCell<Option<Rc<Session>>>,
    /// The host's name of the failure, if the last effect has failed.
    cause: RefCell<String>,
    /// The message of the failure, if it has one.
    detail: RefCell<String>,
    /// The status of the provider's last response, or the host's name of the failure.
    provider: RefCell<ProviderResult>,
    /// The task that this task starts with its next effect, an [`Effect::Sleep`].
    started: Cell<Option<Running>>,
}

/// A task and its suspended future.
pub(super) struct Running {
    task: Task,
    response: Pin<Box<dyn Future<Output = Response>>>,
    is_abandoned: bool,
}

impl Running {
    pub(super) fn new(task: Task, response: Pin<Box<dyn Future<Output = Response>>>) -> Self {
        Self {
            task,
            response,
            is_abandoned: false,
        }
    }

    /// Marks the task as abandoned by its client. Returns true if the task has work that must be finished.
    pub(super) fn abandon(&mut self) -> bool {
        self.is_abandoned = true;
        !self.is_unneeded()
    }

    /// Returns true if the task can be dropped.
    pub(super) fn is_unneeded(&self) -> bool {
        self.is_abandoned && self.task.0.keep_alive_count.get() == 0
    }

    /// Removes and returns the task that this task starts, if any.
    pub(super) fn take_started(&self) -> Option<Self> {
        self.task.0.started.take()
    }

    /// Returns the time of the task's last step by the machine's own clocks.
    pub(super) fn now(&self) -> Instant {
        self.task.0.now.get()
    }

    /// Returns true if the task had no step for so long that the platform must have dropped its request.
    pub(super) fn is_stale(&self, now: &Instant) -> bool {
        self.now().elapsed(now) >= STALE
    }

    /// Sets the reply that the task waits for.
    pub(super) fn reply(&self, now: Instant, reply: Reply) {
        let inner = &self.task.0;
        inner.now.set(now);
        if matches!(reply, Reply::Waited | Reply::Pending) {
            inner.waited.set(inner.waited.get() + inner.timer.get());
        }
        let (cause, detail) = match &reply {
            Reply::Failed(failure) => strings::split_once(failure, b'\n'),
            _ => ("", None),
        };
        *inner.cause.borrow_mut() = loggable(cause, LONGEST_CAUSE);
        *inner.detail.borrow_mut() = loggable(detail.unwrap_or_default(), LONGEST_MESSAGE);
        inner.reply.set(Some(reply));
    }

    /// Runs until the next effect or the response.
    pub(super) fn step(&mut self) -> Step {
        let mut context = Context::from_waker(Waker::noop());
        match self.response.as_mut().poll(&mut context) {
            Poll::Ready(response) => Step::Done(response),
            Poll::Pending => match self.task.0.effect.take() {
                Some(effect) => Step::Do(effect),
                // This case does not occur: only `perform` waits, and `perform` always sets an effect.
                None => Step::Done(Response::Own(response::failure())),
            },
        }
    }
}

/// The longest name of a cause that is logged.
const LONGEST_CAUSE: usize = 120;

/// The longest message of a cause that is logged.
const LONGEST_MESSAGE: usize = 200;

/// Returns the host's text about a cause if it is one line of at most this many printable characters, or an empty string.
fn loggable(text: &str, longest: usize) -> String {
    let is_loggable = text.len() <= longest && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (if is_loggable { text } else { "" }).to_owned()
}

impl Task {
    /// Creates a task at the time `now`, for a request that arrived at `arrived`.
    pub(super) fn new(isolate: &Rc<Isolate>, arrived: Instant, now: Instant) -> Self {
        Self(Rc::new(Inner {
            isolate: isolate.clone(),
            arrived,
            grace: Cell::new(isolate.config.grace),
            bound_cookie: RefCell::default(),
            now: Rc::new(Cell::new(now)),
            timer: Cell::default(),
            waited: Cell::default(),
            flight: Cell::default(),
            lease: RefCell::default(),
            refreshed: Cell::default(),
            keep_alive_count: Cell::new(0),
            effect: Cell::new(None),
            reply: Cell::new(None),
            request_id: OnceCell::new(),
            session: RefCell::default(),
            cause: RefCell::default(),
            detail: RefCell::default(),
            provider: RefCell::default(),
            started: Cell::new(None),
        }))
    }

    /// Has the host run `work` as a task of its own, because this request may end earlier. Returns the flight of that task,
    /// which has this name. The next effect of this task must be [`Effect::Sleep`].
    pub(super) fn start_flight<F>(&self, name: &str, work: impl FnOnce(Self) -> F) -> FlightId
    where
        F: Future<Output = ()> + 'static,
    {
        let part = self.split();
        let work = boxed(work(part.clone()));
        self.start_part(part, name, work)
    }

    /// Starts `part`, a task that is a part of this one. A generic function would be compiled for each kind of work.
    fn start_part(
        &self,
        part: Self,
        name: &str,
        work: Pin<Box<dyn Future<Output = ()>>>,
    ) -> FlightId {
        let flight = FlightGuard::begin(part.clone(), name);
        let id = flight.id;
        part.0.flight.set(Some(id));
        let running = async move {
            // The host's first reply only says that the task runs.
            PendingReply(&flight.task).await;
            work.await;
            Response::NotHandled
        };
        self.0
            .started
            .set(Some(Running::new(part, Box::pin(running))));
        id
    }

    /// Returns a task for a part of this task's work. The part belongs to the same request, but holds no lease.
    fn split(&self) -> Self {
        let part = Self::new(&self.0.isolate, self.0.arrived, self.0.now.get());
        part.0.grace.set(self.grace());
        part.set_bound_cookie(self.bound_cookie());
        part.set_request_id(self.request_id());
        *part.0.session.borrow_mut() = self.session();
        part
    }

    pub(super) fn isolate(&self) -> &Isolate {
        &self.0.isolate
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.isolate.config
    }

    /// Returns the time of the last step. Its wall clock is the one that isolates share, as far as there is one.
    pub(super) fn now(&self) -> Instant {
        self.isolate().clock.instant(self.0.now.get())
    }

    /// Returns the time of the last step by the machine's own clocks.
    pub(super) fn own_time(&self) -> Instant {
        self.0.now.get()
    }

    /// Starts a measurement.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            at: self.own_time(),
            waited: self.0.waited.get(),
        }
    }

    /// Returns a time that has certainly passed since a mark of this task.
    pub(super) fn passed_at_least(&self, since: &Mark) -> Millis {
        let waited = self.0.waited.get().saturating_sub(since.waited);
        let clock = &self.isolate().clock;
        clock.certain(&since.at, &self.own_time()).max(waited)
    }

    /// Returns the longest time for which there is evidence since a mark of this task.
    pub(super) fn passed_at_most(&self, since: &Mark) -> Millis {
        let waited = self.0.waited.get().saturating_sub(since.waited);
        since.at.elapsed(&self.own_time()).max(waited)
    }

    /// Returns the earliest time that it may be, since the clocks of isolates may differ. Verdicts against a session use it.
    pub(super) fn earliest(&self) -> Instant {
        let now = self.now();
        let wall = now.wall.saturating_sub(self.tolerance().0);
        Instant { wall, ..now }
    }

    /// Returns the time for verdicts about the limits of a session instead of `at`: the earliest one that it may have been,
    /// without the time for which the request may have waited in a late period.
    pub(super) fn time_for_limits(&self, at: Instant) -> Instant {
        let doubt = self.tolerance() + self.accepted_lateness();
        let wall = at.wall.saturating_sub(doubt.0);
        Instant { wall, ..at }
    }

    /// Returns the longest time for which the request may have waited before this process read it.
    pub(super) fn lateness(&self) -> Millis {
        self.isolate().lateness.of(&self.0.arrived)
    }

    /// Returns the part of [`Self::lateness`] that counts for cookies and limits.
    pub(super) fn accepted_lateness(&self) -> Millis {
        Lateness::added(self.lateness())
    }

    /// Returns the earliest time at which the request may have arrived, according to a coordinator that has no clock. If the
    /// coordinator could not be asked, the machine's clock counts: what this time decides is refused for now, and not ended.
    pub(super) fn earliest_arrival(&self) -> UnixMillis {
        let clock = &self.isolate().clock;
        let tolerance = match clock.is_unknown() {
            true => Millis::ZERO,
            false => clock.tolerance(),
        };
        self.arrived().wall.saturating_sub(tolerance.0)
    }

    /// Returns the difference of clocks that must not harm a session: zero if the coordinator has a clock.
    pub(super) fn tolerance(&self) -> Millis {
        self.isolate().clock.tolerance()
    }

    /// Returns the flight that this task is, if it is one.
    pub(super) fn flight(&self) -> Option<FlightId> {
        self.0.flight.get()
    }

    /// Returns the cell with the lease that this request holds while it refreshes its session.
    pub(super) fn lease(&self) -> &RefCell<Option<Lease>> {
        &self.0.lease
    }

    /// Returns the cell for the result of the refresh that this request has started.
    pub(super) fn refreshed(&self) -> &Cell<Option<Result<Rc<Session>, Refusal>>> {
        &self.0.refreshed
    }

    /// Returns the time at which the request arrived, by the same clocks as [`Task::now`].
    pub(super) fn arrived(&self) -> Instant {
        self.isolate().clock.instant(self.0.arrived)
    }

    /// Returns the time for which the request's cookie remains valid after a later one was presented.
    pub(super) fn grace(&self) -> Millis {
        self.0.grace.get()
    }

    /// Returns the request's bound cookie.
    pub(super) fn bound_cookie(&self) -> Rc<BoundCookie> {
        self.0.bound_cookie.borrow().clone()
    }

    /// Sets the request's bound cookie.
    pub(super) fn set_bound_cookie(&self, cookie: Rc<BoundCookie>) {
        *self.0.bound_cookie.borrow_mut() = cookie;
    }

    /// Notes that the request's cookie refers to a stored session. Such a cookie has no generation, so no later one
    /// replaces it, even if this isolate only knows an early generation of the session.
    pub(super) fn note_reference(&self) {
        self.0.grace.set(Millis::MAX);
    }

    /// Keeps the task running until the guard is dropped, even if the client disconnects.
    pub(super) fn keep_alive(&self) -> KeepAliveGuard {
        self.0
            .keep_alive_count
            .set(self.0.keep_alive_count.get() + 1);
        KeepAliveGuard(self.clone())
    }

    /// Has the host carry out an effect, and waits for the reply.
    pub(super) fn perform(&self, effect: Effect) -> PendingReply<'_> {
        self.0.timer.set(match &effect {
            Effect::Sleep { time, .. } | Effect::Wait { time, .. } => *time,
            Effect::Send { .. } | Effect::Await => BEAT,
            _ => Millis::ZERO,
        });
        self.0.effect.set(Some(effect));
        PendingReply(self)
    }

    /// Waits for `time`.
    pub(super) fn pause(&self, time: Millis) -> PendingReply<'_> {
        self.sleep(None, time)
    }

    /// Waits until a flight has finished, but not longer than `time`.
    pub(super) fn sleep(&self, flight: Option<FlightId>, time: Millis) -> PendingReply<'_> {
        self.perform(Effect::Sleep {
            flight,
            time,
            started: None,
        })
    }

    /// Returns the ID of the request. If the request brought none, generates one.
    pub(super) fn request_id(&self) -> Rc<str> {
        let generate = || request_id::random(self.isolate().random_for_id()).into();
        self.0.request_id.get_or_init(generate).clone()
    }

    /// Sets the ID of the request, unless it has one.
    pub(super) fn set_request_id(&self, id: Rc<str>) {
        let _ = self.0.request_id.set(id);
    }

    /// Returns the session of the request, if it is known.
    pub(super) fn session(&self) -> Option<Rc<Session>> {
        self.0.session.borrow().clone()
    }

    /// Returns the host's name of the failure, if the last effect has failed. Otherwise, or if the host knows no name, returns
    /// an empty string.
    pub(super) fn failure(&self) -> String {
        self.0.cause.borrow().clone()
    }

    /// Returns the message of the failure, if the last effect has failed and the host passed one, or an empty string.
    fn failure_message(&self) -> String {
        self.0.detail.borrow().clone()
    }

    /// Returns the result of this task's last request to the provider.
    pub(super) fn provider_result(&self) -> ProviderResult {
        self.0.provider.borrow().clone()
    }

    /// Notes the result of a request to the provider: the status, or the failure of the last effect.
    pub(super) fn note_provider_result(&self, status: Option<u16>) {
        let cause = self.failure();
        *self.0.provider.borrow_mut() = ProviderResult { status, cause };
    }

    /// Notes the session of the request, for events.
    pub(super) fn note_session(&self, session: &Rc<Session>) {
        *self.0.session.borrow_mut() = Some(session.clone());
    }
}

/// The future of the host's reply.
pub(super) struct PendingReply<'a>(&'a Task);

impl Future for PendingReply<'_> {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Reply> {
        let reply = self.0.0.reply.take();
        reply.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Boxes the future of a code path that few requests take. Without boxes, each request would reserve memory for all
/// paths, and the first request would wait until the engine has compiled all paths.
pub(super) fn boxed<'a, T>(
    part: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(part)
}

/// A guard for work that must be finished even if the client disconnects, such as ending a session.
pub(super) struct KeepAliveGuard(Task);

impl Drop for KeepAliveGuard {
    fn drop(&mut self) {
        let count = &self.0.0.keep_alive_count;
        count.set(count.get().saturating_sub(1));
    }
}

/// A guard for a flight in this isolate. Dropping the guard marks the flight as finished, so tasks that wait for the
/// flight cannot hang.
pub(super) struct FlightGuard {
    pub(super) task: Task,
    pub(super) id: FlightId,
}

impl FlightGuard {
    /// Begins a flight with this name: the ID of the session that is refreshed, or the name of a read.
    pub(super) fn begin(task: Task, name: &str) -> Self {
        let isolate = task.isolate();
        let id = isolate.next_flight.get();
        isolate.next_flight.set(id.next());
        let last_step = task.0.now.clone();
        isolate
            .session_cache
            .borrow_mut()
            .begin(name, id, last_step);
        Self { task, id }
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        let isolate = self.task.isolate();
        isolate.session_cache.borrow_mut().finish(self.id);
        isolate.emit(Event::FlightFinished(self.id));
    }
}
