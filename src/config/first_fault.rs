//! The first fault in a configuration.

use core::cell::OnceCell;

use crate::base::error::Error;

/// The first fault in a configuration, if there is one.
pub(crate) struct FirstFault(OnceCell<Error>);

impl FirstFault {
    pub(crate) const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Records the error that `explain` returns, unless an earlier one is recorded. `explain` must not call this
    /// method.
    pub(super) fn record(&self, explain: impl FnOnce() -> Error) {
        self.0.get_or_init(explain);
    }

    /// Returns the first fault.
    pub(crate) fn into_error(self) -> Option<Error> {
        self.0.into_inner()
    }
}
