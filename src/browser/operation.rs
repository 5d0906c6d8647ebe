//! Operations that the core requests and that take several asynchronous steps.

use crate::prelude::*;
use wasm_bindgen::JsValue;

use crate::base::http::Outcome;
use crate::base::list::{self, List};
use crate::browser::context::{Context, NO_WAIT, Progress, WaitId};
use crate::browser::encrypted_store::StoreOp;
use crate::browser::key_generation::KeyGeneration;
use crate::browser::platform::WorkerScope;
use crate::browser::provider_request::ProviderRequest;
use crate::browser::signature::Verification;
use crate::vault::{Input, OpId};

/// An operation. Its method `advance` takes the result of the last step, or `undefined` for the first step. If a step
/// fails, `advance` is not called.
pub(super) enum Operation {
    Request(ProviderRequest),
    Store(StoreOp),
    Verify(Verification),
    MakeKey(KeyGeneration),
}

/// The operations in flight.
#[derive(Default)]
pub(super) struct Operations(List<Running>);

struct Running {
    op: OpId,
    wait: WaitId,
    operation: Operation,
}

impl Operations {
    pub(super) fn begin(&mut self, context: &mut Context, op: OpId, operation: Operation) {
        let running = Box::new(Running {
            op,
            wait: NO_WAIT,
            operation,
        });
        self.advance(context, running, Ok(JsValue::UNDEFINED));
    }

    /// Continues the operation that waited under the number `wait`, with the result of its step. Returns the result if
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
        self.advance(context, running, result);
        None
    }

    /// Cancels an operation. Returns false if the operation is not in flight.
    pub(super) fn cancel(&mut self, op: OpId) -> bool {
        let running = list::take(&mut self.0, |running| running.op == op);
        running.map(|running| running.operation.end()).is_some()
    }

    fn advance(
        &mut self,
        context: &mut Context,
        mut running: Box<Running>,
        result: Result<JsValue, JsValue>,
    ) {
        let Running {
            op,
            wait,
            operation,
        } = &mut *running;
        let op = *op;
        let progress = result.and_then(|value| match operation {
            Operation::Request(request) => request.advance(op, context, value),
            Operation::Store(store) => store.advance(op, context, value),
            Operation::Verify(verification) => verification.advance(op, &context.scope, value),
            Operation::MakeKey(generation) => generation.advance(op, context, value),
        });
        let progress = progress.or_else(|error| match operation {
            Operation::Store(store) => store.retry(context, error),
            _ => Err(error),
        });
        let end = match progress {
            Ok(Progress::Wait(awaited)) => {
                *wait = context.wait(&awaited);
                return self.0.push(running);
            }
            Ok(Progress::Done(end)) => end,
            Err(_) => operation.failed(op, &context.scope),
        };
        operation.end();
        context.report(end);
    }
}

impl Operation {
    /// Releases the operation's resources: aborts a request, or closes a database.
    fn end(&self) {
        match self {
            Self::Request(request) => request.end(),
            Self::Store(store) => store.end(),
            Self::Verify(_) => {}
            Self::MakeKey(_) => {}
        }
    }

    /// Returns the input that reports to the core that the operation has failed.
    fn failed(&self, op: OpId, scope: &WorkerScope) -> Input<'static> {
        match self {
            // If the device is online, the browser may have hidden the response because of CORS.
            Self::Request(request) => Input::Responded {
                op,
                outcome: if request.has_no_response() && scope.navigator().on_line() {
                    Outcome::Opaque
                } else {
                    Outcome::Failed
                },
            },
            Self::Store(store) => store.failed(op),
            Self::Verify(_) => Input::Verified { op, valid: false },
            Self::MakeKey(_) => KeyGeneration::failed(op),
        }
    }
}
