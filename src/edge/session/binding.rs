//! The binding of a session to a key of the browser (Device Bound Session Credentials).
//!
//! The browser's key is in its security hardware. Every few minutes the browser signs a challenge with the key, and gets
//! a short-lived cookie for it, the bound cookie. A copy of a bound session's cookie is refused without the bound cookie,
//! and a copy of both works for eleven minutes only.

use rules::prelude::*;

use rules::base::clock::{Millis, UnixMillis};
use rules::base::strings;
use rules::codec::json;
use rules::config::Limits;

/// The life of a bound cookie in the browser, which renews it before.
pub(crate) const LIFE: Millis = Millis::from_secs(600);

/// A bound cookie is valid for this long after its life in the browser, because a request may be in flight.
pub(crate) const MARGIN: Millis = Millis::from_secs(60);

/// Requests that arrive within this time after the browser got another cookie may be without it: they were in flight.
pub(crate) const IN_FLIGHT: Millis = Millis::from_secs(10);

/// The handler offers to bind a session for this long after its login. Later, a copy of the cookie could bind the session
/// to a key of its own.
pub(crate) const OFFERED: Millis = Millis::from_secs(60);

/// A browser must register its key within this time after the login.
pub(crate) const REGISTRATION_LIFE: Millis = Millis::from_secs(120);

/// A browser that has not registered its key gets a second offer after this time. Until then, Chromium's limit of
/// signatures has passed, and the first offer has expired by the clock of every isolate: otherwise the browser might
/// register two keys.
pub(crate) const SECOND_OFFER: Millis = Millis::from_secs(600);

/// The browser may get the second offer until this time after the login, but not for longer than a session may be idle. See
/// [`offers_end`].
const OFFERS_END: Millis = Millis::from_secs(3600);

/// Returns the time after a login until which the browser may get the second offer.
pub(crate) fn offers_end(limits: &Limits) -> Millis {
    OFFERS_END.min(limits.idle)
}

/// The key to which a session is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The thumbprint of the public key (RFC 7638), in base64url.
    pub thumbprint: String,
    /// The time of the binding.
    pub since: UnixMillis,
}

impl Binding {
    /// Returns the line of a session or a record, whose versions cover it: the thumbprint and the time, separated by a space.
    pub(crate) fn to_text(&self) -> String {
        let mut text = [&*self.thumbprint, " "].concat();
        json::write_number(&mut text, self.since);
        text
    }

    /// Reads the output of [`Binding::to_text`].
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (thumbprint, since) = strings::split_once(text, b' ');
        Some(Self {
            thumbprint: thumbprint.to_owned(),
            since: json::parse_u64(since?)?,
        })
    }

    /// Reads the output of [`Binding::to_text`]. An empty string stands for no binding.
    pub(crate) fn from_optional_text(text: &str) -> Option<Option<Self>> {
        match text {
            "" => Some(None),
            text => Self::from_text(text).map(Some),
        }
    }

    /// Returns true if an offer of this time was made before the session was bound.
    pub(crate) const fn is_later_than(&self, offered: UnixMillis) -> bool {
        // Clocks of isolates differ.
        offered <= self.since.saturating_add(IN_FLIGHT.0)
    }

    /// Returns true if a request that was read at `read`, and had waited for at most `lateness`, may have been in flight when
    /// the session was bound. It may still be in flight.
    pub(crate) const fn was_in_flight(
        &self,
        read: UnixMillis,
        lateness: Millis,
        now: UnixMillis,
    ) -> bool {
        // Clocks of isolates differ.
        let (first, last) = (
            self.since.saturating_sub(IN_FLIGHT.0),
            self.since.saturating_add(IN_FLIGHT.0),
        );
        first <= now && read.saturating_sub(lateness.0) <= last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binding_is_read_as_written() {
        let binding = Binding {
            thumbprint: "abc".to_owned(),
            since: 5,
        };
        assert_eq!(Binding::from_text(&binding.to_text()), Some(binding));
        assert_eq!(Binding::from_text("abc"), None);
        assert_eq!(Binding::from_text("abc x"), None);
    }
}
