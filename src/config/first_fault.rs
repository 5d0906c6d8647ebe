//! The first fault in a configuration.
//!
//! Only builds with the capability `ConfigMessages` say what is wrong. If a smaller module refuses a configuration, the
//! worker loads the extended module, which refuses it with a message.

use core::cell::OnceCell;

use super::fault;
use crate::base::capability;
use crate::base::error::Error;

/// The first fault in a configuration, if there is one.
pub(crate) struct FirstFault(OnceCell<Option<capability::ConfigMessages<Error>>>);

impl FirstFault {
    pub(crate) const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Records the error that `explain` returns, unless an earlier one is recorded. A build without messages records a
    /// fault without an error. `explain` must not call this method.
    pub(super) fn record(&self, explain: impl FnOnce() -> Error) {
        match capability::ConfigMessages::WITNESS {
            Some(has) => {
                self.0.get_or_init(|| Some(has.with(explain())));
            }
            None => {
                self.0.get_or_init(|| None);
            }
        }
    }

    /// Returns the first fault, with an empty message in a build without messages.
    pub(crate) fn into_error(self) -> Option<Error> {
        let first = self.0.into_inner()?;
        Some(first.map_or_else(|| fault(&[]), capability::ConfigMessages::into_data))
    }
}
