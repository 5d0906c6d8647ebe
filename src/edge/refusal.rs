//! The reasons for which a request gets no session.

use rules::base::clock::Millis;
use rules::base::error::Error;
use rules::session::EndReason;

/// The default for `Retry-After`.
pub(super) const RETRY_AFTER: Millis = Millis::from_secs(2);

/// `Retry-After` for a fault that an operator must fix.
pub(super) const OPERATOR_RETRY_AFTER: Millis = Millis::from_secs(60);

/// The reason for which a request gets no session.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The session has ended.
    Ended(EndReason),
    /// The session cannot be read or refreshed now. The session is kept, and the client should retry after this time.
    Later(Error, Millis),
    /// The provider requires an interaction of the user. The session is kept.
    Interaction,
    /// The session is bound to a key of the browser, and the request has no valid bound cookie. The session is kept.
    BoundCookieMissing {
        /// True if the browser says that it could not renew the bound cookie.
        was_skipped: bool,
    },
}
