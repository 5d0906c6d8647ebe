//! Warnings for developers: each is printed once per vault, on the console of the page that its cause concerns.

use crate::base::error::Error;
use crate::vault::message::message;
use crate::vault::{PortId, Vault};

impl Vault {
    /// Tells inspectors each time, and the page at `port` the first time that there is a warning with this code.
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
}
