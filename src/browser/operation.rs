//! Operations that the core requests and that take several asynchronous steps.
//!
//! An operation is written from top to bottom, as `async` functions that stop wherever the platform has to do something.
//! The module needs no executor: each promise, request or transaction that ends polls its operation once. A dropped
//! operation releases what it holds: a request is aborted, and a database is closed.

use alloc::rc::Rc;
use core::cell::Cell;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{self, Poll, Waker};
use rules::prelude::*;
use wasm_bindgen::JsValue;

use crate::context::{Context, NO_WAIT, Shared, WaitId};
use crate::platform::Awaited;
use rules::base::list::{self, List};
use vault::{Input, OpId};

/// The promise, request or transaction that an operation waits for, and the result of the last one.
#[derive(Default)]
struct Step {
    awaited: Cell<Option<Awaited>>,
    result: Cell<Option<Result<JsValue, JsValue>>>,
}

/// The context of an operation's functions: the state that the host shares, and a way to wait.
pub(super) struct Task {
    shared: Rc<Shared>,
    step: Rc<Step>,
}

impl Task {
    /// Waits until a promise, request or transaction has ended. Returns the value of a promise, or the result of a request.
    pub(super) fn wait(&self, awaited: impl Into<Awaited>) -> Wait<'_> {
        Wait {
            step: &self.step,
            awaited: Some(awaited.into()),
        }
    }
}

impl Deref for Task {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

/// The future of what an operation waits for.
pub(super) struct Wait<'a> {
    step: &'a Step,
    /// `None` once the host waits for it.
    awaited: Option<Awaited>,
}

impl Future for Wait<'_> {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Self::Output> {
        if let Some(awaited) = self.awaited.take() {
            self.step.awaited.set(Some(awaited));
            return Poll::Pending;
        }
        self.step.result.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The operations in flight.
#[derive(Default)]
pub(super) struct Operations(List<Running>);

struct Running {
    op: OpId,
    wait: WaitId,
    step: Rc<Step>,
    future: Pin<Box<dyn Future<Output = Input<'static>>>>,
}

impl Operations {
    /// Begins an operation, which `work` runs. The future's output is the input that reports the result of `op` to the core.
    pub(super) fn begin<F>(&mut self, context: &mut Context, op: OpId, work: impl FnOnce(Task) -> F)
    where
        F: Future<Output = Input<'static>> + 'static,
    {
        let step = Rc::<Step>::default();
        let task = Task {
            shared: context.shared.clone(),
            step: step.clone(),
        };
        let future = Box::pin(work(task));
        let running = Running {
            op,
            wait: NO_WAIT,
            step,
            future,
        };
        self.advance(context, Box::new(running));
    }

    /// Continues the operation that waited under the number `wait`, with the result of its wait. Returns the result if
    /// no operation waited under this number.
    pub(super) fn resume(
        &mut self,
        context: &mut Context,
        wait: WaitId,
        result: Result<JsValue, JsValue>,
    ) -> Option<Result<JsValue, JsValue>> {
        let Some(running) = list::take(&mut self.0, |running| running.wait == wait) else {
            return Some(result);
        };
        running.step.result.set(Some(result));
        self.advance(context, running);
        None
    }

    /// Cancels an operation. Returns false if the operation is not in flight.
    pub(super) fn cancel(&mut self, op: OpId) -> bool {
        list::take(&mut self.0, |running| running.op == op).is_some()
    }

    fn advance(&mut self, context: &mut Context, mut running: Box<Running>) {
        let mut no_waker = task::Context::from_waker(Waker::noop());
        match running.future.as_mut().poll(&mut no_waker) {
            Poll::Ready(end) => context.report(end),
            Poll::Pending => {
                // A pending operation always waits for something, since only `Wait` is ever pending.
                if let Some(awaited) = running.step.awaited.take() {
                    running.wait = context.wait(&awaited);
                    self.0.push(running);
                }
            }
        }
    }
}
