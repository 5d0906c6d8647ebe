//! Witnesses of capabilities: parts of the core that not every module contains.
//!
//! A capability has a type that has values only in builds that contain the capability. Whatever belongs to the
//! capability carries such a value, for example a variant of an enum. In a build without the capability such a variant
//! cannot exist, so the compiler removes it, and all code behind it, without another `cfg`.
//!
//! `If…` is state of a capability that exists whenever the build has the capability, such as `IfDpop<Proofs>`.
//!
//! The type of a capability may contain data. In a build without the capability it has no size, so an `Option` of it
//! has no size either. `Box`, `Rc`, `Vec` and references to a type without values have values, so they must be inside:
//! `Dpop<Rc<T>>`, not `Rc<Dpop<T>>`.

/// Ends a test in builds without the capability.
#[cfg(test)]
macro_rules! needs {
    ($capability:ident) => {
        if $crate::base::capability::$capability::WITNESS.is_none() {
            return;
        }
    };
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident as $part:ident: $feature:literal,)+) => {$(
        $(#[$doc])*
        #[cfg(feature = $feature)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<T = ()>(T);

        $(#[$doc])*
        #[cfg(not(feature = $feature))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<T = ()>(core::convert::Infallible, core::marker::PhantomData<T>);

        #[cfg(feature = $feature)]
        impl $name {
            /// The witness, if this build has the capability.
            pub const WITNESS: Option<Self> = Some(Self::HERE);
            /// The witness. Only code of the capability itself uses this constant.
            pub(crate) const HERE: Self = Self(());

            /// Adds data to the witness.
            pub fn with<T>(self, data: T) -> $name<T> {
                $name(data)
            }
        }

        #[cfg(not(feature = $feature))]
        impl $name {
            /// The witness, if this build has the capability.
            pub const WITNESS: Option<Self> = None;

            /// Adds data to the witness.
            pub fn with<T>(self, _: T) -> $name<T> {
                match self.0 {}
            }
        }

        impl<T> $name<T> {
            /// Returns the data.
            #[must_use]
            pub fn into_data(self) -> T {
                #[cfg(feature = $feature)]
                return self.0;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }

            /// Returns the witness without the data.
            #[must_use]
            pub const fn witness(&self) -> $name {
                #[cfg(feature = $feature)]
                return $name::HERE;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }
        }

        impl<T> core::ops::Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                #[cfg(feature = $feature)]
                return &self.0;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }
        }

        impl<T> core::ops::DerefMut for $name<T> {
            fn deref_mut(&mut self) -> &mut T {
                #[cfg(feature = $feature)]
                return &mut self.0;
                #[cfg(not(feature = $feature))]
                match self.0 {}
            }
        }

        /// State that exists in builds with the capability. In other builds it has no size.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $part<T>(
            #[cfg(feature = $feature)] T,
            #[cfg(not(feature = $feature))] core::marker::PhantomData<T>,
        );

        impl<T> $part<T> {
            /// Returns the state that `make` creates. In a build without the capability, `make` is not called.
            pub fn new(make: impl FnOnce() -> T) -> Self {
                #[cfg(feature = $feature)]
                return Self(make());
                #[cfg(not(feature = $feature))]
                {
                    let _ = make;
                    Self(core::marker::PhantomData)
                }
            }

            /// Returns the state.
            pub const fn get(&self) -> Option<&T> {
                #[cfg(feature = $feature)]
                return Some(&self.0);
                #[cfg(not(feature = $feature))]
                None
            }

            /// Returns the state.
            pub const fn get_mut(&mut self) -> Option<&mut T> {
                #[cfg(feature = $feature)]
                return Some(&mut self.0);
                #[cfg(not(feature = $feature))]
                None
            }
        }

        impl<T: Default> Default for $part<T> {
            fn default() -> Self {
                Self::new(T::default)
            }
        }
    )+

        /// Returns the name of each capability, and whether this build has it.
        pub fn all() -> impl Iterator<Item = (&'static str, bool)> {
            [$((stringify!($name), $name::WITNESS.is_some())),+].into_iter()
        }
    };
}

capabilities! {
    /// Further signing algorithms of ID tokens.
    Algorithms as IfAlgorithms: "algorithms",
    /// Messages that say which option of the configuration is invalid, and why.
    ConfigMessages as IfConfigMessages: "config-messages",
    /// Logins whose authorization URL the app opens itself.
    CustomLogin as IfCustomLogin: "custom-login",
    /// Logins on another device (RFC 8628).
    DeviceLogin as IfDeviceLogin: "device-login",
    /// Tokens that are bound to a key (RFC 9449).
    Dpop as IfDpop: "dpop",
    /// Stored sessions whose key is in escrow.
    Escrow as IfEscrow: "escrow",
    /// The session inspector.
    Inspector as IfInspector: "inspector",
    /// Options of logins that few providers need.
    LoginOptions as IfLoginOptions: "login-options",
    /// The provider's metadata in the configuration.
    Metadata as IfMetadata: "metadata",
    /// Servers without OpenID Connect.
    PlainOauth as IfPlainOauth: "plain-oauth",
    /// An API that says who the user is, without OpenID Connect, or the UserInfo endpoint (OIDC Core 5.3).
    ProfileAddress as IfProfileAddress: "profile-address",
    /// The reason why the provider ends a session.
    Reasons as IfReasons: "reasons",
    /// Access tokens of their own for single APIs (RFC 8707).
    ResourceTokens as IfResourceTokens: "resource-tokens",
    /// Further options of API rules.
    RuleOptions as IfRuleOptions: "rule-options",
    /// WebSocket connections to APIs.
    Sockets as IfSockets: "sockets",
    /// Stronger or more recent authentication, when an API asks for it (RFC 9470).
    StepUp as IfStepUp: "step-up",
    /// Sessions that outlive the vault's worker.
    StoredSessions as IfStoredSessions: "stored-sessions",
}
