//! One request on its way through the handler.
//!
//! What it does is written from top to bottom, as `async` functions that stop wherever the host has to do
//! something. There is no executor: [`Running::step`] polls once, and that is always as far as the next effect or
//! the response.

use crate::prelude::*;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::base::clock::Instant;
use crate::base::error::{Code, Error};
use crate::edge::Isolate;
use crate::edge::io::{Effect, Event, Reply, Response, Step};
use crate::edge::refresh::lease::Lease;
use crate::edge::response;

/// The number of a task in its isolate.
pub type TaskId = usize;

/// What a request's functions work with: the isolate, the time, and the way to the host.
#[derive(Clone)]
pub(super) struct Task(Rc<Inner>);

struct Inner {
    isolate: Rc<Isolate>,
    arrived: Instant,
    now: Rc<Cell<Instant>>,
    lease: RefCell<Option<Lease>>,
    keep_alive_count: Cell<u32>,
    effect: Cell<Option<Effect>>,
    reply: Cell<Option<Reply>>,
}

/// A task and where it has stopped.
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

    /// Nobody waits for the answer any more. Whether there is something that has to be finished all the same.
    pub(super) fn abandon(&mut self) -> bool {
        self.is_abandoned = true;
        // control: refresh_outlives_its_request
        !self.is_unneeded()
    }

    /// Whether nobody waits for anything that it does.
    pub(super) fn is_unneeded(&self) -> bool {
        self.is_abandoned && self.task.0.keep_alive_count.get() == 0
    }

    /// Whether nothing has happened to it for long: nobody will come back to it.
    pub(super) fn is_stale(&self, now: &Instant) -> bool {
        self.task.now().elapsed(now) >= crate::edge::STALE
    }

    /// Puts in what the task waits for.
    pub(super) fn reply(&self, now: Instant, reply: Reply) {
        self.task.0.now.set(now);
        self.task.0.reply.set(Some(reply));
    }

    /// Goes on as far as the next effect, or the response.
    pub(super) fn step(&mut self) -> Step {
        let mut context = Context::from_waker(Waker::noop());
        match self.response.as_mut().poll(&mut context) {
            Poll::Ready(answer) => Step::Done(answer),
            Poll::Pending => match self.task.0.effect.take() {
                Some(effect) => Step::Do(effect),
                // Only `ask` waits, and it has always asked.
                None => Step::Done(Response::Own(response::failure())),
            },
        }
    }
}

impl Task {
    pub(super) fn new(isolate: &Rc<Isolate>, now: Instant) -> Self {
        Self(Rc::new(Inner {
            isolate: isolate.clone(),
            arrived: now,
            now: Rc::new(Cell::new(now)),
            lease: RefCell::default(),
            keep_alive_count: Cell::new(0),
            effect: Cell::new(None),
            reply: Cell::new(None),
        }))
    }

    pub(super) fn isolate(&self) -> &Isolate {
        &self.0.isolate
    }

    pub(super) fn config(&self) -> &crate::edge::Config {
        &self.0.isolate.config
    }

    /// The time, as the host last said it.
    pub(super) fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// The lease that this request holds while it refreshes its session.
    pub(super) fn lease(&self) -> &RefCell<Option<Lease>> {
        &self.0.lease
    }

    /// When the request came.
    pub(super) fn arrived(&self) -> Instant {
        self.0.arrived
    }

    /// Until this is dropped, what is done is finished even if the request goes away.
    pub(super) fn keep_alive(&self) -> KeepAliveGuard {
        self.0
            .keep_alive_count
            .set(self.0.keep_alive_count.get() + 1);
        KeepAliveGuard(self.clone())
    }

    /// Has the host do something, and waits for what comes of it.
    pub(super) fn perform(&self, effect: Effect) -> PendingReply<'_> {
        self.0.effect.set(Some(effect));
        PendingReply(self)
    }

    /// Tells the operator what went wrong.
    pub(super) fn fault(&self, error: &Error) {
        self.isolate().emit(Event::Fault(error.clone()));
    }

    /// The same.
    pub(super) fn fault_of(&self, code: Code, message: &[&str]) {
        self.fault(&Error::of(code, message));
    }
}

/// The host's reply, once it is there.
pub(super) struct PendingReply<'a>(&'a Task);

impl Future for PendingReply<'_> {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Reply> {
        let reply = self.0.0.reply.take();
        reply.map_or(Poll::Pending, Poll::Ready)
    }
}

/// A part of the way that few requests go. It has a function and a place in memory of its own: else each request would
/// have room for all of them, and the first one would wait until all of them are compiled.
pub(super) fn boxed<'a, T>(
    part: impl Future<Output = T> + 'a,
) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(part)
}

/// Something that others rely on: tokens that were issued and are not written yet, a session that is ending.
pub(super) struct KeepAliveGuard(Task);

impl Drop for KeepAliveGuard {
    fn drop(&mut self) {
        let count = &self.0.0.keep_alive_count;
        count.set(count.get().saturating_sub(1));
    }
}

/// A refresh that is under way in this isolate. It lands when this is dropped, however that comes about: who waits
/// for it must not wait for ever.
pub(super) struct RefreshGuard {
    isolate: Rc<Isolate>,
    id: crate::edge::FlightId,
    _guard: KeepAliveGuard,
}

impl RefreshGuard {
    /// Begins one for a session, for which there is none.
    pub(super) fn begin(task: &Task, sid: &str) -> Self {
        let isolate = task.0.isolate.clone();
        let id = isolate.next_flight.get();
        isolate.next_flight.set(id.wrapping_add(1));
        let last_step = task.0.now.clone();
        isolate.session_cache.borrow_mut().begin(sid, id, last_step);
        Self {
            isolate,
            id,
            _guard: task.keep_alive(),
        }
    }
}

impl Drop for RefreshGuard {
    fn drop(&mut self) {
        self.isolate.session_cache.borrow_mut().finish(self.id);
        self.isolate.emit(Event::RefreshFinished(self.id));
    }
}
