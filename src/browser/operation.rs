//! An operation of the core's that takes several steps.

use wasm_bindgen::JsValue;

use crate::base::http::Outcome;
#[cfg(feature = "extended")]
use crate::browser::dpop::Making;
use crate::browser::encrypted_store::Job;
use crate::browser::platform;
use crate::browser::provider_request::Exchange;
use crate::browser::signature::Verification;
use crate::vault::{Input, OpId};

/// An operation, as far as it has come. Each kind has `advance`, which takes what the last step
/// resulted in, and first of all `undefined`. When a step failed, it is not called any more.
pub(super) enum Flow {
    /// A request to the provider.
    Exchange(Exchange),
    /// A pending login on its way in or out of the store.
    Seal(Job),
    /// The verification of a signature.
    Verification(Verification),
    /// A key pair on its way.
    #[cfg(feature = "extended")]
    Making(Making),
}

/// How an operation goes on.
pub(super) enum Next {
    /// When this is done: a promise, or an IndexedDB request.
    When(JsValue),
    /// It is over.
    Done(Input<'static>),
}

impl Flow {
    /// Lets go of what it holds, whether it is over or given up.
    pub(super) fn end(&self) {
        match self {
            Self::Exchange(exchange) => exchange.end(),
            Self::Seal(job) => job.end(),
            Self::Verification(_) => {}
            #[cfg(feature = "extended")]
            Self::Making(_) => {}
        }
    }

    /// What to report when a step fails.
    pub(super) fn failed(&self, op: OpId, scope: &JsValue) -> Input<'static> {
        match self {
            // A browser that is online for all it knows may have hidden a response.
            Self::Exchange(exchange) => Input::Answered {
                op,
                outcome: if exchange.is_unanswered() && is_online(scope) {
                    Outcome::Opaque
                } else {
                    Outcome::Failed
                },
            },
            Self::Seal(job) => job.failed(op),
            Self::Verification(_) => Input::Verified { op, valid: false },
            #[cfg(feature = "extended")]
            Self::Making(_) => Input::KeyMade { op, key: None },
        }
    }
}

/// Returns false only if the browser knows that there is no network.
fn is_online(scope: &JsValue) -> bool {
    platform::get(&platform::get(scope, "navigator"), "onLine").is_truthy()
}
