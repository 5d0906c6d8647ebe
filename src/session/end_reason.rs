//! The reasons for the end of a session.

macro_rules! end_reason_enum {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, revokes: $revokes:literal;)+) => {
        /// The reason for the end of a session. The build writes the package's type `EndReason` from the names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EndReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl EndReason {
            /// Every reason that this build reports.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name of the reason, as pages see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns true if the refresh token may still be valid and should be revoked.
            #[must_use]
            pub const fn calls_for_revocation(self) -> bool {
                match self { $(Self::$variant => $revokes,)+ }
            }

            /// Returns the reason with this [name](Self::as_str).
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                let mut all = Self::ALL.iter().copied();
                all.find(|reason| reason.as_str() == name)
            }
        }
    };
}

/// Defines the enum with the reasons that all builds report, and with `$more`, the reasons that only some builds
/// report.
macro_rules! end_reasons {
    ($($more:tt)*) => {
        end_reason_enum! {
            /// `logout()` was called.
            LoggedOut = "logged_out", revokes: true;
            /// The provider refused the refresh token, because the token was revoked or has expired, or because the
            /// provider's session ended. Over a token handler also: the provider sent a back-channel logout.
            ProviderEnded = "provider_ended", revokes: false;
            /// The access token has expired, and there is no refresh token.
            Expired = "expired", revokes: false;
            /// The idle limit was reached.
            Idle = "idle", revokes: true;
            /// The absolute limit was reached.
            Absolute = "absolute", revokes: true;
            /// The provider responded for another user or issuer. Over a token handler also: a replaced cookie was used
            /// after the grace period. The refresh token is revoked.
            Security = "security", revokes: true;
            /// The stored session (`persist: 'sealed'` or `'escrow'`) is gone or cannot be read. Over a token handler:
            /// the cookie or the session in the store is gone.
            StorageLost = "storage_lost", revokes: false;
            $($more)*
        }
    };
}
