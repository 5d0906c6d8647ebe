//! The reasons for the end of a session.

use crate::base::clock::Millis;
use crate::config::{Flow, Limits};

macro_rules! end_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $(seen_as: $seen_as:ident,)? revokes: $revokes:literal, is_final: $is_final:literal;)+) => {
        /// The reason for the end of a session. The build writes the package's type `EndReason` from the names that pages
        /// see, and its list of [final](Self::is_final) reasons.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EndReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl EndReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name of the reason, as records have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the name of the reason, as pages and the app's server see it.
            #[must_use]
            pub const fn seen_as(self) -> &'static str {
                match self {
                    $($(Self::$variant => Self::$seen_as.as_str(),)?)+
                    _ => self.as_str(),
                }
            }

            /// Returns true if the refresh token may still be valid and should be revoked.
            #[must_use]
            pub const fn calls_for_revocation(self) -> bool {
                match self { $(Self::$variant => $revokes,)+ }
            }

            /// Returns true if only the user may begin the next login. If the app began it by itself, the limits of sessions
            /// would have no effect.
            #[must_use]
            pub const fn is_final(self) -> bool {
                match self { $(Self::$variant => $is_final,)+ }
            }

            /// Returns the reason with this [name](Self::as_str).
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
            }
        }
    };
}

impl EndReason {
    /// Returns the reason of an end by the user's choice.
    #[must_use]
    pub const fn of_logout(flow: &Flow) -> Self {
        if flow.forgets {
            Self::Forgotten
        } else {
            Self::LoggedOut
        }
    }

    /// Returns true if the refresh token of a session that ends for this reason should be revoked.
    #[must_use]
    pub const fn revokes(self, flow: &Flow) -> bool {
        self.calls_for_revocation() && !self.spares_grant(flow)
    }

    /// Returns true if the grant of a session that has ended for this reason must stay valid, since another session may have
    /// it.
    #[must_use]
    const fn spares_grant(self, flow: &Flow) -> bool {
        match self {
            Self::Replaced | Self::Forgotten | Self::ClaimsChanged => true,
            Self::Idle | Self::Absolute | Self::SessionExpired => flow.forgets,
            _ => false,
        }
    }

    /// Returns true if the refresh token should be revoked that a refresh has returned after its session has ended for this
    /// reason.
    #[must_use]
    pub const fn revokes_late(self, flow: &Flow) -> bool {
        if flow.forgets {
            // The provider may have ended only the login of this session.
            self.revokes(flow)
        } else {
            !self.spares_grant(flow)
        }
    }

    /// Returns true after a logout by the user.
    #[must_use]
    pub const fn is_logout(self) -> bool {
        matches!(self, Self::LoggedOut | Self::Forgotten)
    }

    /// Returns the reason for the end of a session after `longest`, its maximum time. This time is shorter than the
    /// absolute limit only if the provider has stated an earlier end.
    pub fn at_maximum_time(longest: Millis, limits: &Limits) -> Self {
        if longest < limits.absolute {
            Self::SessionExpired
        } else {
            Self::Absolute
        }
    }
}

end_reasons! {
    /// `logout()` was called.
    LoggedOut = "logged_out", revokes: true, is_final: true;
    /// `logout()` was called, and the configuration says `logout: 'forget'`.
    Forgotten = "forgotten", seen_as: LoggedOut, revokes: false, is_final: true;
    /// The provider refused the refresh token, because the token was revoked or has expired, or because the
    /// provider's session ended. Over a token handler also: the provider sent a back-channel logout.
    ProviderEnded = "provider_ended", revokes: false, is_final: false;
    /// The access token has expired, and there is no refresh token.
    Expired = "expired", revokes: false, is_final: false;
    /// The idle limit was reached.
    Idle = "idle", revokes: true, is_final: true;
    /// The absolute limit was reached.
    Absolute = "absolute", revokes: true, is_final: true;
    /// The time was reached at which the provider wanted the session to end (`session_expiry` of an ID token).
    SessionExpired = "session_expired", revokes: true, is_final: true;
    /// The provider responded for another user or issuer. Over a token handler also: a replaced cookie was used
    /// after the grace period. The refresh token is revoked.
    Security = "security", revokes: true, is_final: true;
    /// A refresh brought an ID token in which a claim of `sameClaims` has another value than at the login.
    // The grant may be that of another session, in another tab, so nothing is revoked.
    ClaimsChanged = "claims_changed", revokes: false, is_final: false;
    /// The stored session (`persist: 'sealed'` or `'escrow'`) is gone or cannot be read. Over a token handler:
    /// the cookie or the session in the store is gone.
    StorageLost = "storage_lost", revokes: false, is_final: false;
    /// Over a token handler: the user has signed in again in the same browser.
    // The new session may share the grant, so nothing is revoked.
    Replaced = "replaced", revokes: false, is_final: false;
    /// With `reasons: true`, instead of `provider_ended`: the refresh token had expired.
    RefreshExpired = "refresh_expired", revokes: false, is_final: false;
    /// With `reasons: true`: the refresh token was revoked.
    Revoked = "revoked", revokes: false, is_final: false;
    /// With `reasons: true`: a refresh token was used a second time.
    ReuseDetected = "reuse_detected", revokes: false, is_final: false;
    /// With `reasons: true`: the user has withdrawn their consent.
    ConsentWithdrawn = "consent_withdrawn", revokes: false, is_final: false;
    /// With `reasons: true`: the provider now requires a second factor.
    MfaRequired = "mfa_required", revokes: false, is_final: false;
}
